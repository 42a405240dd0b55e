// A question before something that cannot be taken back. Esc answers no.
import { useEffect, useRef } from "preact/hooks";

interface Props {
  question: string;
  yes: string;
  onYes: () => void;
  onNo: () => void;
}

export function Confirm({ question, yes, onYes, onNo }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="confirm" aria-label={question} onCancel={onNo}>
      <p>{question}</p>
      <p class="buttons">
        <button type="button" onClick={onYes}>
          {yes}
        </button>
        <button type="button" onClick={onNo}>
          Leave it
        </button>
      </p>
    </dialog>
  );
}
