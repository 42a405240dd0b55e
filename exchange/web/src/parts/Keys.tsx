import { useEffect, useRef } from "preact/hooks";
import { isHelpOpen, KEYS } from "../store/keys";

/** The list of the keys. */
export function Keys() {
  return isHelpOpen.value ? <Open /> : null;
}

function Open() {
  const dialog = useRef<HTMLDialogElement>(null);
  const close = () => (isHelpOpen.value = false);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="confirm" aria-label="Keys" onCancel={close}>
      <h2>Keys</h2>
      <dl class="figures">
        {KEYS.flatMap(([key, meaning]) => [
          <dt key={key}>
            <kbd>{key}</kbd>
          </dt>,
          <dd key={meaning}>{meaning}</dd>,
        ])}
      </dl>
      <p class="buttons">
        <button type="button" onClick={close}>
          Close
        </button>
      </p>
    </dialog>
  );
}
