// The zone that this browser is set to: as the default for who is new, on offer for who has another.
const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
const field = document.getElementById("zone"), offer = document.getElementById("zone-here");
const take = () => { field.value = timeZone; };

if (!offer) take();
else if (field.value !== timeZone) {
  offer.textContent = `Use ${timeZone}, as this browser`;
  offer.hidden = false;
  offer.onclick = take;
}
