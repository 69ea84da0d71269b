// SPDX-License-Identifier: Apache-2.0
// The password once more, before something that matters.
import { useState } from 'preact/hooks';
import { confirmPassword, message, passwordWanted, session } from './api.ts';
import { Notice, useModal } from './widgets.tsx';

function Dialog({ answer }: { answer: (typed: boolean) => void }) {
  const dialog = useModal();
  const [password, setPassword] = useState('');
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError('');
    try {
      await confirmPassword(password);
      answer(true);
    } catch (cause) {
      setError(message(cause));
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="again-title" onCancel={(event) => { event.preventDefault(); answer(false); }}>
      <form class="again" onSubmit={submit}>
        <h2 id="again-title">Your password, once more</h2>
        <p class="soft">What you are about to do matters, and you signed in a while ago.</p>
        <input type="hidden" name="username" autocomplete="username" value={session.value?.user} />
        <label>Password of {session.value?.user}<input type="password" autocomplete="current-password" autofocus required value={password} onInput={(event) => setPassword(event.currentTarget.value)} /></label>
        {error && <Notice kind="error">{error}</Notice>}
        <div class="actions">
          <button type="button" onClick={() => answer(false)}>Cancel</button>
          <button type="submit" class="primary" disabled={busy} data-testid="again">Go on</button>
        </div>
      </form>
    </dialog>
  );
}

export function PasswordDialog() {
  const answer = passwordWanted.value;
  return answer ? <Dialog answer={answer} /> : null;
}
