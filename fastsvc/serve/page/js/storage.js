// What this browser keeps between visits. Where storage is closed, nothing is kept, and the page works on.

const PREFIX = "fastsvc.";

export function kept(name, otherwise) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : typeof otherwise === "string" ? text : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(PREFIX + name, typeof value === "string" ? value : JSON.stringify(value));
  } catch {
    // Full or closed.
  }
}
