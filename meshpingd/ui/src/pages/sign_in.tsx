// SPDX-License-Identifier: Apache-2.0
// Signing in, and making the first administrator.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Problem, askReset, ended, mailThere, message, session, setUp, setupNeeded, signIn } from '../api.ts';
import { Logo } from '../logo.tsx';
import { Notice } from '../widgets.tsx';

function explain(error: unknown, first: boolean): string {
  if (!(error instanceof Problem)) return message(error);
  if (error.status === 401) return 'User or password is wrong.';
  if (error.status === 429) return `Too many tries. Wait ${error.fields['retry_s'] ?? 'some'} seconds, then try again.`;
  if (error.status === 403 && first) return 'The set-up code is wrong. It stands in the file setup-code of the state directory, and in the server’s log.';
  return error.message;
}

export function SignInPage() {
  const first = setupNeeded.value;
  const [code, setCode] = useState('');
  const again = ended.value;
  const [user, setUser] = useState(session.value?.user ?? '');
  const [password, setPassword] = useState('');
  const [repeated, setRepeated] = useState('');
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const [mailed, setMailed] = useState(false);
  const start = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (!again) start.current?.focus();
  }, [first]);

  const submit = async (event: Event) => {
    event.preventDefault();
    if (first && password !== repeated) return setError('The two passwords differ.');
    setBusy(true);
    setError('');
    try {
      if (first) await setUp(code.trim(), user.trim(), password);
      else await signIn(user.trim(), password);
    } catch (cause) {
      setError(explain(cause, first));
      setBusy(false);
    }
  };

  const forgotten = async () => {
    setError('');
    setMailed(false);
    if (!user.trim()) return setError('Enter your user name first.');
    await askReset(user.trim()).then(() => setMailed(true)).catch((cause) => setError(explain(cause, false)));
  };

  const Gate = again ? 'div' : 'main';
  return (
    <Gate class="gate">
      <form class="panel" onSubmit={submit} aria-labelledby="gate-title">
        <p class="brand"><Logo /> meshping</p>
        <h1 id="gate-title">{first ? 'First set-up' : 'Sign in'}</h1>
        {again && <Notice kind="warn">Your session has ended: its time was up, or somebody ended it. Sign in to go on where you were; what you typed is still there.</Notice>}
        {first && (
          <>
            <p class="soft">This server has no administrator yet. The set-up code is in the file <code>setup-code</code> of its state directory, and in its log.</p>
            <label>Set-up code<input ref={start} name="code" autocomplete="one-time-code" spellcheck={false} required value={code} onInput={(event) => setCode(event.currentTarget.value)} /></label>
          </>
        )}
        <label>User<input ref={first ? undefined : start} name="user" autocomplete="username" autocapitalize="none" spellcheck={false} required value={user} onInput={(event) => setUser(event.currentTarget.value)} /></label>
        <label>Password<input name="password" type="password" autocomplete={first ? 'new-password' : 'current-password'} autofocus={again} required value={password} onInput={(event) => setPassword(event.currentTarget.value)} /></label>
        {first && <label>Password again<input name="again" type="password" autocomplete="new-password" required value={repeated} onInput={(event) => setRepeated(event.currentTarget.value)} /></label>}
        {error && <Notice kind="error">{error}</Notice>}
        {mailed && <Notice kind="good">If there is such a user with an e-mail address, a link for a new password is on its way.</Notice>}
        <button type="submit" class="primary" disabled={busy}>{busy ? 'One moment…' : first ? 'Make the administrator' : 'Sign in'}</button>
        {!first && mailThere.value && <button type="button" class="link" data-testid="forgotten" onClick={forgotten}>I have forgotten my password</button>}
      </form>
    </Gate>
  );
}
