// Before the first paint: the theme that was chosen here before. A classic script, as modules run too late for that.
try {
  const theme = localStorage.getItem("fastsvc.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is closed to this page: the system's theme it is.
}
