// SPDX-License-Identifier: Apache-2.0
// The one door to the server's API: adds the CSRF token, turns problem JSON into errors, notices a session's end.
import { batch, signal } from '@preact/signals';
import { dropDrafts } from './drafts.ts';
import type {
  IssuedPassphrase, Passphrase, PassphraseRequest, Rule, RuleList, Series, ServerEvent, ServerInfo, Session, Target, TargetList,
} from './types.ts';

/** undefined: not asked yet; null: signed out. */
export const session = signal<Session | null | undefined>(undefined);
/** Somebody else, or the clock, has ended the session: what is typed stays until one has signed in again. */
export const ended = signal(false);
export const setupNeeded = signal(false);
/** Whether the server sends e-mail: then a forgotten password is no matter. */
export const mailThere = signal(false);

export class Problem extends Error {
  constructor(readonly status: number, detail: string, readonly fields: Record<string, unknown> = {}) {
    super(detail);
  }
}

interface CallOptions {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Not to be asked for the password (again). */
  confirmed?: boolean;
}

const ranks = ['viewer', 'operator', 'admin'];
/** Whether the one who is signed in may what needs this role. The server decides; this only spares dead ends. */
export const may = (role: 'viewer' | 'operator' | 'admin'): boolean =>
  ranks.indexOf(session.value?.role ?? '') >= ranks.indexOf(role);

/** Somebody waits for the password to be typed again; true: it was. */
export const passwordWanted = signal<((typed: boolean) => void) | null>(null);
/** While the session gets another id, the end of the old one means nothing. */
export let renewing: Promise<void> | undefined;

async function renew(request: Promise<Session>): Promise<void> {
  const mine = request.then((renewed) => { session.value = renewed; });
  renewing = mine.catch(() => undefined);
  try {
    await mine;
  } finally {
    renewing = undefined;
  }
}

export const confirmPassword = (password: string): Promise<void> =>
  renew(call<Session>('/api/v1/session/confirm', { method: 'POST', body: { password } }));
export const changePassword = (current: string, password: string): Promise<void> =>
  renew(call<Session>('/api/v1/password', { method: 'PUT', body: { current, password } }));

export async function call<T>(path: string, options: CallOptions = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json', ...options.headers };
  const method = options.method ?? 'GET';
  const mine = session.value;
  if (method !== 'GET' && session.value) headers['X-CSRF-Token'] = session.value.csrf;
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: 'same-origin',
      cache: 'no-store',
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      signal: options.signal,
    });
  } catch (cause) {
    if (options.signal?.aborted) throw cause;
    throw new Problem(0, 'The server does not answer. Is meshpingd running, and can this browser reach it?');
  }
  const text = await response.text();
  let data: unknown;
  try {
    data = text ? JSON.parse(text) : undefined;
  } catch {
    data = undefined;
  }
  if (response.ok) return data as T;
  const fields = (typeof data === 'object' && data !== null ? data : {}) as Record<string, unknown>;
  const retry = response.headers.get('Retry-After');
  if (retry) fields['retry_s'] = Number(retry);
  if (response.status === 401 && mine && mine === session.value) ended.value = true;
  if (response.status === 403 && fields['confirm'] === true && !options.confirmed) {
    const typed = await new Promise<boolean>((done) => { passwordWanted.value = done; });
    passwordWanted.value = null;
    if (typed && session.value?.user === mine?.user) return call<T>(path, { ...options, confirmed: true });
    throw new Problem(403, 'Nothing was changed: the password was not typed.', fields);
  }
  throw new Problem(response.status, describe(response, fields), fields);
}

function describe(response: Response, fields: Record<string, unknown>): string {
  if (typeof fields['detail'] === 'string' && fields['detail']) return fields['detail'];
  if (typeof fields['title'] === 'string' && fields['title']) return fields['title'];
  return `The server answered ${response.status} ${response.statusText}`.trim();
}

export const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What waits for a password was somebody else's. */
function dropWaiting(): void {
  passwordWanted.value?.(false);
  dropDrafts();
}

function setSession(now: Session): void {
  batch(() => {
    if (session.value && session.value.user !== now.user) dropWaiting();
    session.value = now;
    ended.value = false;
  });
}

/** Nobody is signed in, and nothing of who was is left. */
export function forget(): void {
  batch(() => {
    dropWaiting();
    session.value = null;
    ended.value = false;
  });
}

export async function loadSession(): Promise<void> {
  try {
    setSession(await call<Session>('/api/v1/session'));
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    setupNeeded.value = error.fields['setup_needed'] === true;
    mailThere.value = error.fields['mail'] === true;
    if (!session.value) session.value = null;
  }
}

export async function signIn(user: string, password: string): Promise<void> {
  setSession(await call<Session>('/api/v1/session', { method: 'POST', body: { user, password } }));
}

export async function setUp(code: string, user: string, password: string): Promise<void> {
  session.value = await call<Session>('/api/v1/setup', { method: 'POST', body: { code, user, password } });
  setupNeeded.value = false;
}

export const askReset = (user: string) => call<void>('/api/v1/password-reset', { method: 'POST', body: { user } });

export async function signOut(): Promise<void> {
  try {
    await call('/api/v1/session', { method: 'DELETE' });
  } finally {
    forget();
  }
}

export interface RulesPreview {
  pairs: { before: number; after: number; added: number; removed: number };
  agents: number;
}
export const getRules = () => call<RuleList>('/api/v1/rules');
export const previewRules = (rules: Rule[]) => call<RulesPreview>('/api/v1/rules/preview', { method: 'POST', body: { rules } });
export const putRules = (rules: Rule[], revision: number) =>
  call<RuleList>('/api/v1/rules', { method: 'PUT', body: { rules }, headers: { 'If-Match': `"${revision}"` } });

export const getTargets = () => call<TargetList>('/api/v1/targets');
export interface TargetsPreview {
  added: Omit<Target, 'id'>[];
  removed: Omit<Target, 'id'>[];
  changed: { before: Omit<Target, 'id'>; after: Omit<Target, 'id'> }[];
  kept: number;
  pairs: RulesPreview['pairs'];
  agents: number;
}
export const previewTargets = (targets: unknown[]) => call<TargetsPreview>('/api/v1/targets/preview', { method: 'POST', body: { targets } });
export const putTargets = (targets: unknown[], revision: number) =>
  call<TargetList>('/api/v1/targets', { method: 'PUT', body: { targets }, headers: { 'If-Match': `"${revision}"` } });

export const getPassphrases = () =>
  call<{ passphrases: Passphrase[] }>('/api/v1/passphrases').then((answer) => answer.passphrases);
export const issuePassphrase = (request: PassphraseRequest) =>
  call<IssuedPassphrase>('/api/v1/passphrases', { method: 'POST', body: request });
export const rotatePassphrase = (id: string) =>
  call<IssuedPassphrase>(`/api/v1/passphrases/${encodeURIComponent(id)}/rotate`, { method: 'POST', body: {} });
export const revokePassphrase = (id: string) =>
  call<void>(`/api/v1/passphrases/${encodeURIComponent(id)}`, { method: 'DELETE' });

export const getSeries = (agent: string, target: number, abort?: AbortSignal) =>
  call<Series>(`/api/v1/series?agent=${encodeURIComponent(agent)}&target=${target}`, { signal: abort });
export const getEvents = (limit: number) =>
  call<{ events: ServerEvent[] }>(`/api/v1/events?limit=${limit}`).then((answer) => answer.events);
export const getServer = () => call<ServerInfo>('/api/v1/server');
