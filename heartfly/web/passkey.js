// Passkeys: asks the browser for one, and puts its answer into the form that a button of ours sends. Without this file,
// or where the browser knows none, the form stays hidden.
const form = document.querySelector("form[data-passkey]");
const told = document.getElementById("passkey-told");
const makes = form?.dataset.passkey === "make";
const reader = makes ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON";

if (form && window.PublicKeyCredential?.[reader]) {
  form.hidden = false;
  document.getElementById("passkey-none")?.remove();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    told.hidden = true;
    try {
      const answer = await fetch(form.dataset.asks, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.status);
      const { options, proof } = await answer.json();
      const publicKey = PublicKeyCredential[reader](options);
      const credential = await navigator.credentials[makes ? "create" : "get"]({ publicKey });
      form.elements.proof.value = proof;
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch (error) {
      told.textContent = {
        InvalidStateError: "This device has a passkey for you already.",
        SecurityError: `Open ${form.dataset.origin} for that.`,
      }[error.name] ?? "No passkey came. Try again, or use your password.";
      told.hidden = false;
    }
  });
}
