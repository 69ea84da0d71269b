// SPDX-License-Identifier: Apache-2.0
// One's own account: password, e-mail, where one is signed in, API tokens.
import { useState } from 'preact/hooks';
import { changePassword, may, message, session } from '../api.ts';
import { ago, dateTime } from '../format.ts';
import { serverNow } from '../live.ts';
import {
  createToken, deleteToken, endOtherSessions, endSession, getProfile, getSessions, getTokens, roles, setEmail, type Role, type Token,
} from '../people_api.ts';
import { usePolled } from '../polled.ts';
import { Confirm, Notice, Secret } from '../widgets.tsx';

type Said = { kind: 'error' | 'good'; text: string } | undefined;

function PasswordForm() {
  const [current, setCurrent] = useState('');
  const [password, setPassword] = useState('');
  const [again, setAgain] = useState('');
  const [said, setSaid] = useState<Said>();
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (password !== again) return setSaid({ kind: 'error', text: 'The two passwords differ.' });
    setBusy(true);
    setSaid(undefined);
    try {
      await changePassword(current, password);
      setSaid({ kind: 'good', text: 'Changed. You are signed out everywhere else.' });
      setCurrent('');
      setPassword('');
      setAgain('');
    } catch (cause) {
      setSaid({ kind: 'error', text: message(cause) });
    }
    setBusy(false);
  };
  return (
    <form class="panel pad form-grid even" aria-labelledby="password-title" onSubmit={submit}>
      <h2 id="password-title" class="full">Password</h2>
      <input type="hidden" name="username" autocomplete="username" value={session.value?.user} />
      <label>Current password<input type="password" autocomplete="current-password" required value={current} onInput={(event) => setCurrent(event.currentTarget.value)} /></label>
      <label>New password<input type="password" autocomplete="new-password" required value={password} onInput={(event) => setPassword(event.currentTarget.value)} /></label>
      <label>New password again<input type="password" autocomplete="new-password" required value={again} onInput={(event) => setAgain(event.currentTarget.value)} /></label>
      <p class="soft full">12 characters or more, of any kind. A few words that do not belong together are good.</p>
      {said && <div class="full"><Notice kind={said.kind}>{said.text}</Notice></div>}
      <div class="actions start full"><button type="submit" class="primary" disabled={busy} data-testid="change-password">Change the password</button></div>
    </form>
  );
}

function EmailForm() {
  const { data: profile, put } = usePolled(getProfile, 0);
  const [email, setText] = useState<string>();
  const [said, setSaid] = useState<Said>();
  if (!profile) return null;
  const submit = async (event: Event) => {
    event.preventDefault();
    setSaid(undefined);
    try {
      put(await setEmail((email ?? profile.email).trim()));
      setText(undefined);
      setSaid({ kind: 'good', text: 'Saved.' });
    } catch (cause) {
      setSaid({ kind: 'error', text: message(cause) });
    }
  };
  return (
    <form class="panel pad form-grid even" aria-labelledby="email-title" onSubmit={submit}>
      <h2 id="email-title" class="full">{profile.user}, {profile.role}</h2>
      <label>E-mail<input type="email" maxLength={254} autocomplete="email" value={email ?? profile.email} onInput={(event) => setText(event.currentTarget.value)} /></label>
      {said && <div class="full"><Notice kind={said.kind}>{said.text}</Notice></div>}
      <div class="actions start full"><button type="submit" disabled={email === undefined || email === profile.email} data-testid="save-email">Save</button></div>
    </form>
  );
}

function Sessions() {
  const { data, error, reload } = usePolled(getSessions, 10000, [session.value?.csrf]);
  const [failed, setFailed] = useState('');
  const end = (work: Promise<void>) => {
    setFailed('');
    work.then(reload).catch((cause) => setFailed(message(cause)));
  };
  return (
    <section class="panel" aria-labelledby="sessions-title">
      <header class="panel-head"><h2 id="sessions-title">Signed in at <span class="count">{data?.length ?? ''}</span></h2>
        {data && data.length > 1 && <button type="button" data-testid="end-others" onClick={() => end(endOtherSessions())}>End all others</button>}</header>
      {(failed || error) && <Notice kind="error">{failed || error}</Notice>}
      {data && (
        <div class="table-wrap" tabIndex={0} role="group" aria-labelledby="sessions-title">
          <table class="stack">
            <thead><tr><th scope="col">Browser</th><th scope="col">From</th><th scope="col">Since</th><th scope="col">Last used</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
            <tbody>{data.map((one) => (
              <tr key={one.id} data-testid="web-session" data-current={one.current}>
                <td class="agent-name">{one.agent || 'unknown'}</td>
                <td class="mono" data-label="From">{one.address}</td>
                <td class="nowrap" data-label="Since">{dateTime(one.created_ms)}</td>
                <td class="nowrap" data-label="Last used">{one.current ? 'this one' : ago(one.last_used_ms, serverNow())}</td>
                <td class="row-actions">{!one.current && <button type="button" aria-label={`End the session from ${one.address}, since ${dateTime(one.created_ms)}`} onClick={() => end(endSession(one.id))}>End</button>}</td>
              </tr>
            ))}</tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function TokenForm({ onMade }: { onMade: (token: Token & { token: string }) => void }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  const [days, setDays] = useState('90');
  const [error, setError] = useState('');
  const submit = async (event: Event) => {
    event.preventDefault();
    setError('');
    try {
      onMade(await createToken({ name: name.trim(), role, days: Number(days) }));
      setName('');
    } catch (cause) {
      setError(message(cause));
    }
  };
  return (
    <form class="pad form-grid even" data-testid="token-form" onSubmit={submit}>
      <label>For what<input required maxLength={64} placeholder="nightly report" autocomplete="off" value={name} onInput={(event) => setName(event.currentTarget.value)} /></label>
      <label>Role<select value={role} onChange={(event) => setRole(event.currentTarget.value as Role)}>{roles.filter((one) => may(one.role)).map((one) => <option key={one.role} value={one.role}>{one.role}</option>)}</select></label>
      <label>Valid for, days<input type="number" min={1} max={366} required value={days} onInput={(event) => setDays(event.currentTarget.value)} /></label>
      {error && <div class="full"><Notice kind="error">{error}</Notice></div>}
      <div class="actions start full"><button type="submit" data-testid="make-token">Make a token</button></div>
    </form>
  );
}

function Tokens() {
  const { data, error, reload } = usePolled(getTokens, 10000);
  const [made, setMade] = useState<Token & { token: string }>();
  const [asked, setAsked] = useState<Token>();
  const [failed, setFailed] = useState('');
  const remove = async () => {
    if (!asked) return;
    setFailed('');
    await deleteToken(asked.id).catch((cause) => setFailed(message(cause)));
    setAsked(undefined);
    reload();
  };
  return (
    <>
      {made && <Secret title={`Token for ${made.name}`} testid="token" label="Copy the token" text={made.token} close={() => setMade(undefined)}
        words={`Copy it now: it is shown only once. Who has it is ${made.role} here until ${dateTime(made.expires_ms)}.`} />}
      <section class="panel" aria-labelledby="tokens-title">
        <header class="panel-head"><h2 id="tokens-title">API tokens <span class="count">{data?.length ?? ''}</span></h2><p class="soft">For programs: <code>Authorization: Bearer …</code></p></header>
        {(failed || error) && <Notice kind="error">{failed || error}</Notice>}
        <TokenForm onMade={(token) => { setMade(token); reload(); }} />
        {data && data.length > 0 && (
          <div class="table-wrap" tabIndex={0} role="group" aria-labelledby="tokens-title">
            <table class="stack">
              <thead><tr><th scope="col">For what</th><th scope="col">Role</th><th scope="col">Made</th><th scope="col">Expires</th><th scope="col">Last used</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
              <tbody>{data.map((token) => (
                <tr key={token.id} data-testid="token-row" data-name={token.name}>
                  <td class="long">{token.name}{token.user !== session.value?.user && <span class="soft"> of {token.user}</span>}</td>
                  <td data-label="Role">{token.role}</td>
                  <td class="nowrap" data-label="Made">{dateTime(token.created_ms)}</td>
                  <td class="nowrap" data-label="Expires">{dateTime(token.expires_ms)}</td>
                  <td class="nowrap" data-label="Last used">{ago(token.used_ms, serverNow())}</td>
                  <td class="row-actions"><button type="button" aria-label={`Delete the token for ${token.name}`} onClick={() => setAsked(token)}>Delete</button></td>
                </tr>
              ))}</tbody>
            </table>
          </div>
        )}
      </section>
      {asked && <Confirm title="Delete this token?" yes="Delete" danger onYes={remove} onNo={() => setAsked(undefined)}><p>Programs that use <b>{asked.name}</b> are refused from now on.</p></Confirm>}
    </>
  );
}

export function AccountPage() {
  return (
    <>
      <div class="page-head"><h1>Account</h1></div>
      <EmailForm />
      <PasswordForm />
      <Sessions />
      <Tokens />
    </>
  );
}
