import { moment } from "../store/address";

/** Says that the page shows the past, and leads back to now. */
export function PastBar() {
  if (moment.value === null) return null;
  return (
    <div class="past-bar" role="status">
      This is the past: the moment after command {moment.value.seq.toLocaleString("en-US")}.
      <button type="button" onClick={() => (moment.value = null)}>
        Back to now
      </button>
    </div>
  );
}
