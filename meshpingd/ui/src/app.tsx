// SPDX-License-Identifier: Apache-2.0
// The frame around the pages: who is signed in, where one is, whether what is shown is live.
import { useEffect, useRef, useState } from 'preact/hooks';
import { signal } from '@preact/signals';
import { ended, forget, loadSession, may, message, session, signOut } from './api.ts';
import { clock } from './format.ts';
import { alarms, liveStatus, mesh, meshShape, shownMs } from './live.ts';
import { Logo } from './logo.tsx';
import { AboutPage } from './pages/about.tsx';
import { AccountPage } from './pages/account.tsx';
import { AddPage } from './pages/add.tsx';
import { AgentsPage } from './pages/agents.tsx';
import { AuditPage } from './pages/audit.tsx';
import { EventsPage } from './pages/events.tsx';
import { LinkPage } from './pages/link.tsx';
import { MatrixPage } from './pages/matrix.tsx';
import { RulesPage } from './pages/rules.tsx';
import { SettingsPage } from './pages/settings.tsx';
import { SignInPage } from './pages/sign_in.tsx';
import { TargetsPage } from './pages/targets.tsx';
import { UsersPage } from './pages/users.tsx';
import { PasswordDialog } from './password_dialog.tsx';
import { choice, nextTheme } from './theme.ts';
import { Notice, useModal } from './widgets.tsx';

const pages = {
  matrix: { title: 'Matrix', view: MatrixPage, role: 'viewer' },
  agents: { title: 'Agents', view: AgentsPage, role: 'viewer' },
  targets: { title: 'Targets', view: TargetsPage, role: 'viewer' },
  rules: { title: 'Rules', view: RulesPage, role: 'viewer' },
  add: { title: 'Add an agent', view: AddPage, role: 'admin' },
  users: { title: 'Users', view: UsersPage, role: 'admin' },
  events: { title: 'Events', view: EventsPage, role: 'viewer' },
  audit: { title: 'Audit', view: AuditPage, role: 'admin' },
  settings: { title: 'Settings', view: SettingsPage, role: 'admin' },
  account: { title: 'Account', view: AccountPage, role: 'viewer' },
  about: { title: 'About', view: AboutPage, role: 'viewer' },
} as const;
type PageName = keyof typeof pages;

function pageOf(): PageName {
  const name = location.hash.replace(/^#\/?/, '');
  if (name in pages) return name as PageName;
  if (location.pathname === '/admin') return 'agents';
  if (location.pathname === '/admin/targets') return 'targets';
  return 'matrix';
}

/** The token of a one-time link, and off the address bar and the history with it. */
function linkOf(): string | undefined {
  const token = /^#\/link\/([\w-]+)$/.exec(location.hash)?.[1];
  if (token) history.replaceState(null, '', '/');
  return token;
}

const link = signal(linkOf());
const page = signal<PageName>(pageOf());
addEventListener('hashchange', () => {
  link.value = linkOf() ?? link.value;
  page.value = pageOf();
  scrollTo(0, 0);
});

/** Over the page, which waits below as it was; nothing but signing in ends it. */
const stay = (event: KeyboardEvent) => {
  if (event.key !== 'Escape') return;
  event.preventDefault();
  event.stopPropagation();
};
const reopen = (event: Event & { currentTarget: HTMLDialogElement }) => {
  const dialog = event.currentTarget;
  if (ended.value && dialog.isConnected && !dialog.open) dialog.showModal();
};
function SignInAgain() {
  const dialog = useModal();
  return (
    <dialog ref={dialog} class="over" aria-labelledby="gate-title" onKeyDown={stay} onCancel={(event) => event.preventDefault()} onClose={reopen}>
      <SignInPage />
    </dialog>
  );
}

function LiveSign() {
  const status = liveStatus.value;
  const time = shownMs.value;
  const text = status === 'live' ? `live ${clock(time)}` : status === 'lost' ? 'not connected' : 'connecting…';
  return <span class={`live-sign ${status}`} data-testid="live" data-status={status}><i aria-hidden="true" />{text}</span>;
}

function Nav() {
  const nav = useRef<HTMLElement>(null);
  const current = page.value;
  useEffect(() => nav.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' }), [current]);
  meshShape.value;
  const pending = mesh.agents.filter((agent) => agent.state === 'pending').length;
  return (
    <nav ref={nav} aria-label="Pages">
      {(Object.keys(pages) as PageName[]).filter((name) => may(pages[name].role)).map((name) => (
        <a key={name} href={`#/${name}`} aria-current={current === name ? 'page' : undefined}>
          {pages[name].title}
          {name === 'agents' && pending > 0 && <span class="badge" data-testid="pending-count">{pending}<span class="hidden"> pending</span></span>}
        </a>
      ))}
    </nav>
  );
}

function Lost() {
  if (liveStatus.value !== 'lost') return null;
  return (
    <div class="banner" role="alert" data-testid="lost">
      {shownMs.value ? `Connection to the server lost. Showing the state of ${clock(shownMs.value)}; trying to reconnect.`
        : 'No connection to the live feed of the server; trying again.'}
    </div>
  );
}

function Alarms() {
  return (
    <>
      {alarms.value.map((alarm) => (
        <div key={alarm.kind} class="banner" role="alert" data-testid={`alarm-${alarm.kind}`}>
          Since {clock(alarm.since_ms)}: {alarm.text}
        </div>
      ))}
    </>
  );
}

function Frame() {
  const [error, setError] = useState('');
  const View = may(pages[page.value].role) ? pages[page.value].view : MatrixPage;
  useEffect(() => {
    document.title = `${pages[page.value].title} · Meshping`;
  }, [page.value]);
  const leave = () => signOut().catch((cause) => setError(message(cause)));
  const look = choice.value;
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>To the content</a>
      <header class="top">
        <a class="brand" href="#/matrix" aria-label="meshping, matrix"><Logo /> meshping</a>
        <Nav />
        <div class="top-right">
          <LiveSign />
          <button type="button" class="quiet" data-testid="theme" aria-label={`Colours: ${look}. Press to change.`} title={`Colours: ${look}`} onClick={nextTheme}>
            <span aria-hidden="true">{look === 'system' ? '◐' : look === 'dark' ? '●' : '○'}</span>
          </button>
          <a class="user" href="#/account" title={`Your account: ${session.value?.user}, ${session.value?.role}`}>{session.value?.user}</a>
          <button type="button" class="quiet" data-testid="sign-out" onClick={leave}>Sign out</button>
        </div>
      </header>
      <Lost />
      <Alarms />
      <main id="main" tabIndex={-1} class={`page page-${page.value}`}>
        {error && <Notice kind="error">{error}</Notice>}
        <View />
      </main>
      <PasswordDialog />
    </>
  );
}

export function App() {
  const [error, setError] = useState('');
  useEffect(() => {
    if (session.value !== undefined) return;
    let timer: ReturnType<typeof setTimeout>;
    const load = () => loadSession().then(() => setError('')).catch((cause) => {
      setError(message(cause));
      timer = setTimeout(load, 3000);
    });
    load();
    return () => clearTimeout(timer);
  }, []);
  if (link.value) return <LinkPage token={link.value} leave={() => { if (ended.value) forget(); link.value = undefined; }} />;
  if (session.value === undefined) return <main class="gate">{error ? <Notice kind="error">{error}</Notice> : <p class="soft" role="status">Loading…</p>}</main>;
  return session.value ? <><Frame key={session.value.user} />{ended.value && <SignInAgain />}</> : <SignInPage />;
}
