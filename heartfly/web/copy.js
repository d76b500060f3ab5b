// A button at each block of code that puts it on the clipboard. Without this file the text is selected by one click.
for (const block of document.querySelectorAll("pre.code")) {
  const button = document.createElement("button");
  button.className = "copy";
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    const text = block.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Over plain http there is no clipboard to write to, but what is selected can be copied.
      getSelection().selectAllChildren(block);
      if (!document.execCommand("copy")) return;
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  const around = document.createElement("div");
  around.className = "copied";
  block.before(around);
  around.append(block, button);
}
