// SPDX-License-Identifier: Apache-2.0
// Where a one-time link leads: its holder chooses a password.
import { useEffect, useState } from 'preact/hooks';
import { loadSession, message } from '../api.ts';
import { dateTime } from '../format.ts';
import { Logo } from '../logo.tsx';
import { applyLink, openLink } from '../people_api.ts';
import { Notice } from '../widgets.tsx';

export function LinkPage({ token, leave }: { token: string; leave: () => void }) {
  const [link, setLink] = useState<{ user: string; invited: boolean; expires_ms: number }>();
  const [password, setPassword] = useState('');
  const [again, setAgain] = useState('');
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const [done, setDone] = useState(false);
  useEffect(() => {
    openLink(token).then(setLink).catch((cause) => setError(message(cause)));
  }, [token]);

  const submit = async (event: Event) => {
    event.preventDefault();
    if (password !== again) return setError('The two passwords differ.');
    setBusy(true);
    setError('');
    try {
      await applyLink(token, password);
      await loadSession().catch(() => undefined); // a session of this user has ended
      setDone(true);
    } catch (cause) {
      setError(message(cause));
    }
    setBusy(false);
  };
  return (
    <main class="gate">
      <form class="panel" onSubmit={submit} aria-labelledby="gate-title">
        <p class="brand"><Logo /> meshping</p>
        <h1 id="gate-title">{link?.invited === false ? 'New password' : 'Welcome'}</h1>
        {link && !done && (
          <>
            <p class="soft">{link.invited ? 'Choose a password for ' : 'Choose a new password for '}<b>{link.user}</b>: 12 characters or more, of any kind. This link works once, until {dateTime(link.expires_ms)}.</p>
            <input type="hidden" name="username" autocomplete="username" value={link.user} />
            <label>Password<input name="password" type="password" autocomplete="new-password" required value={password} onInput={(event) => setPassword(event.currentTarget.value)} /></label>
            <label>Password again<input name="again" type="password" autocomplete="new-password" required value={again} onInput={(event) => setAgain(event.currentTarget.value)} /></label>
          </>
        )}
        {error && <Notice kind="error">{error}</Notice>}
        {done && <Notice kind="good">The password is set.</Notice>}
        {link && !done ? <button type="submit" class="primary" disabled={busy}>{busy ? 'One moment…' : 'Set the password'}</button>
          : (done || error) && <button type="button" class="primary" onClick={leave}>Go to the sign-in page</button>}
      </form>
    </main>
  );
}
