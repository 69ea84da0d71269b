// SPDX-License-Identifier: Apache-2.0
// Users: invite, change the role, disable, a link for a new password, sign out.
import { useState } from 'preact/hooks';
import { message, session } from '../api.ts';
import { ago, dateTime } from '../format.ts';
import { serverNow } from '../live.ts';
import { changeUser, createUser, getUsers, makeLink, roles, signOutUser, type Link, type Role, type User } from '../people_api.ts';
import { usePolled } from '../polled.ts';
import { Confirm, Notice, Secret } from '../widgets.tsx';

type Asked = { user: User; what: 'disable' | 'enable' | 'link' | 'sign-out' } | { user: User; what: 'role'; role: Role };

const verbs: Record<Asked['what'], string> = { 'disable': 'Disable', 'enable': 'Enable', 'link': 'Make the link', 'sign-out': 'Sign out', 'role': 'Change the role' };

const words = (asked: Asked): string => {
  switch (asked.what) {
    case 'disable': return 'is signed out everywhere at once, and neither the password nor any API token works until you enable the account again.';
    case 'enable': return 'may sign in again with the password from before.';
    case 'link': return asked.user.invited ? 'gets a new invitation; the earlier one stops working.' : 'may choose a new password with a link that works once, for 24 hours. The old password works until then.';
    case 'sign-out': return 'is signed out everywhere, and may sign in again.';
    case 'role': return `becomes ${asked.role}, is signed out everywhere, and has the new rights on signing in again.`;
  }
};

const run = async (asked: Asked): Promise<Link | undefined> => {
  const { id } = asked.user;
  if (asked.what === 'link') return makeLink(id);
  if (asked.what === 'sign-out') await signOutUser(id);
  else if (asked.what === 'role') await changeUser(id, { role: asked.role });
  else await changeUser(id, { disabled: asked.what === 'disable' });
  return undefined;
};

function InviteForm({ onMade }: { onMade: (link: Link) => void }) {
  const [name, setName] = useState('');
  const [email, setEmail] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError('');
    try {
      onMade(await createUser({ name: name.trim(), role, email: email.trim() }));
      setName('');
      setEmail('');
    } catch (cause) {
      setError(message(cause));
    }
    setBusy(false);
  };
  return (
    <form class="panel pad form-grid even" data-testid="invite-form" onSubmit={submit}>
      <p class="soft full">An invitation is a link that works once. Whoever opens it chooses the password; nobody else ever sees it.</p>
      <label>Name<input required maxLength={64} spellcheck={false} autocapitalize="none" autocomplete="off" value={name} data-testid="new-name" onInput={(event) => setName(event.currentTarget.value)} /></label>
      <label>E-mail, if you like<input type="email" maxLength={254} autocomplete="off" value={email} onInput={(event) => setEmail(event.currentTarget.value)} /></label>
      <label>Role<select value={role} data-testid="new-role" onChange={(event) => setRole(event.currentTarget.value as Role)}>{roles.map((one) => <option key={one.role} value={one.role}>{one.role}</option>)}</select></label>
      <p class="soft full">{role}: {roles.find((one) => one.role === role)?.words}.</p>
      {error && <div class="full"><Notice kind="error">{error}</Notice></div>}
      <div class="actions start full"><button type="submit" class="primary" disabled={busy} data-testid="invite">Invite</button></div>
    </form>
  );
}

function status(user: User): string {
  if (user.disabled) return 'disabled';
  return user.invited ? 'invited' : 'active';
}

function UserRow({ user, ask }: { user: User; ask: (asked: Asked) => void }) {
  return (
    <tr data-testid="user" data-user={user.name} data-status={status(user)} data-role={user.role}>
      <td class="long"><b>{user.name}</b>{user.name === session.value?.user && <span class="soft"> (you)</span>}{user.email && <div class="soft">{user.email}</div>}</td>
      <td data-label="Role">
        <select aria-label={`Role of ${user.name}`} value={user.role} onChange={(event) => {
          const role = event.currentTarget.value as Role;
          event.currentTarget.value = user.role; // until the server has said yes
          ask({ user, what: 'role', role });
        }}>{roles.map((one) => <option key={one.role} value={one.role}>{one.role}</option>)}</select>
      </td>
      <td data-label="Status" class={user.disabled ? 'soft' : ''}>{status(user)}</td>
      <td class="nowrap" data-label="Signed in">{ago(user.signed_in_ms, serverNow())}</td>
      <td class="row-actions">
        {!user.disabled && <button type="button" aria-label={`${user.invited ? 'Invite again:' : 'New password for'} ${user.name}`} onClick={() => ask({ user, what: 'link' })}>{user.invited ? 'Invite again' : 'New password'}</button>}
        {!user.disabled && !user.invited && <button type="button" aria-label={`Sign out ${user.name}`} onClick={() => ask({ user, what: 'sign-out' })}>Sign out</button>}
        <button type="button" aria-label={`${user.disabled ? 'Enable' : 'Disable'} ${user.name}`} onClick={() => ask({ user, what: user.disabled ? 'enable' : 'disable' })}>{user.disabled ? 'Enable' : 'Disable'}</button>
      </td>
    </tr>
  );
}

export function UsersPage() {
  const { data: users, error, reload } = usePolled(getUsers, 5000);
  const [link, setLink] = useState<Link>();
  const [asked, setAsked] = useState<Asked>();
  const [failed, setFailed] = useState('');
  const [busy, setBusy] = useState(false);
  const act = async () => {
    if (!asked) return;
    setBusy(true);
    setFailed('');
    try {
      const made = await run(asked);
      if (made) setLink(made);
    } catch (cause) {
      setFailed(`${asked.user.name}: ${message(cause)}`);
    }
    setBusy(false);
    setAsked(undefined);
    reload();
  };
  return (
    <>
      <div class="page-head"><h1>Users</h1></div>
      {(failed || error) && <Notice kind="error">{failed || error}</Notice>}
      {link && <Secret title={`Link for ${link.user.name}`} testid="user-link" label="Copy the link" text={location.origin + link.path} close={() => setLink(undefined)}
        words={`Give it to ${link.user.name} only, in a way you trust: it is shown once, works once, and until ${dateTime(link.expires_ms)}.`} />}
      <InviteForm onMade={(made) => { setLink(made); reload(); scrollTo(0, 0); }} />
      <section class="panel" aria-labelledby="users-title">
        <header class="panel-head"><h2 id="users-title">All users <span class="count">{users?.length ?? ''}</span></h2></header>
        {!users ? <p class="empty" role="status">Loading…</p> : (
          <div class="table-wrap" tabIndex={0} role="group" aria-labelledby="users-title">
            <table class="stack">
              <thead><tr><th scope="col">Name</th><th scope="col">Role</th><th scope="col">Status</th><th scope="col">Signed in</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
              <tbody>{users.map((user) => <UserRow key={user.id} user={user} ask={(next) => { setFailed(''); setAsked(next); }} />)}</tbody>
            </table>
          </div>
        )}
      </section>
      {asked && (
        <Confirm title={`${verbs[asked.what]}: ${asked.user.name}?`} yes={verbs[asked.what]} danger={asked.what === 'disable'} busy={busy} onYes={act} onNo={() => setAsked(undefined)}>
          <p><b>{asked.user.name}</b> {words(asked)}</p>
        </Confirm>
      )}
    </>
  );
}
