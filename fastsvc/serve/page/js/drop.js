// Areas that files can be dropped on, and the buttons that choose them.

/** `take([File])` gets the files; `area` lights up while something is dragged over it. */
export function acceptFiles(area, button, input, take) {
  let depth = 0; // dragenter and dragleave also come from the elements inside
  const over = (change) => {
    depth = Math.max(0, depth + change);
    area.classList.toggle("over", depth > 0);
  };
  area.addEventListener("dragenter", (event) => (event.preventDefault(), over(1)));
  area.addEventListener("dragleave", () => over(-1));
  area.addEventListener("dragover", (event) => event.preventDefault());
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    over(-depth);
    give(event.dataTransfer.files);
  });
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    give(input.files);
    input.value = ""; // so that choosing the same file again is a change
  });

  function give(files) {
    if (files.length) take([...files]);
  }
}

/** Files dropped beside an area must not make the browser leave the page. */
export function ignoreDropsElsewhere() {
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
}
