// SPDX-License-Identifier: Apache-2.0
// The server's settings: docs/API.md, Settings; and in what order and words the page has them.
import { call } from './api.ts';

export interface Setting {
  name: string;
  type: 'text' | 'number' | 'duration' | 'size' | 'secret';
  /** As it would stand in the configuration's file; of a secret there is only whether it is set. */
  value?: string;
  set?: boolean;
  default?: string;
  least?: string;
  most?: string;
  help: string;
  source: 'default' | 'database' | 'file' | 'option';
  changeable: boolean;
}
export interface Settings {
  revision: number;
  file: string;
  settings: Setting[];
}
/** null: back to the default. */
export type Edits = Record<string, string | null>;

export const getSettings = () => call<Settings>('/api/v1/settings');
export const patchSettings = (changes: Edits, revision: number) =>
  call<Settings>('/api/v1/settings', { method: 'PATCH', body: changes, headers: { 'If-Match': `"${revision}"` } });
export const testMail = (to: string) => call<void>('/api/v1/settings/test-mail', { method: 'POST', body: { to } });

export interface Group {
  key: string;
  title: string;
  words?: string;
  fields: { name: string; label: string; options?: string[]; example?: string }[];
}

export const groups: readonly Group[] = [
  { key: 'keep', title: 'How long, and how much', fields: [
    { name: 'retention', label: 'Every sample is kept for', example: '24h, 7d' },
    { name: 'rollup_retention', label: "Each hour's counts and histogram for", example: '90d, 2y' },
    { name: 'database_max_size', label: 'The database is at most', example: '500M, 20G; 0: no limit' },
  ] },
  { key: 'targets', title: 'Targets and cells', words: 'For targets and pairs that set nothing of their own. Interval and timeout are written into a target when it is added: those in the list keep theirs.', fields: [
    { name: 'interval_ms', label: 'Interval of new targets (ms)' },
    { name: 'timeout_ms', label: 'Timeout of new targets (ms)' },
    { name: 'slow_ms', label: 'A cell is slow above (ms)' },
    { name: 'lossy_count', label: 'A cell is lossy from, lost of its last 12' },
    { name: 'stale_intervals', label: 'A cell is stale after, silent intervals' },
  ] },
  { key: 'agents', title: 'Agents', fields: [
    { name: 'advertise', label: 'Agents reach this server at', example: 'mon.example.org:8443' },
    { name: 'offline_s', label: 'An agent is offline after, silent seconds' },
    { name: 'pending_max', label: 'Agents that may wait for approval' },
    { name: 'unauthenticated_max', label: 'Connections that may wait for their handshake' },
    { name: 'failed_enrolments_max', label: 'Failed enrolments a minute and address' },
  ] },
  { key: 'people', title: 'Signing in', fields: [
    { name: 'session_idle_hours', label: 'A sign-in ends after, idle hours' },
    { name: 'session_hours', label: 'and in any case after, hours' },
    { name: 'public_url', label: 'Browsers reach this page at', example: 'https://mon.example.org' },
  ] },
  { key: 'mail', title: 'E-mail', words: 'For links to a new password. Without an SMTP server none is sent, and an administrator makes the links.', fields: [
    { name: 'smtp_url', label: 'SMTP server', example: 'smtps://mail.example.org:465' },
    { name: 'smtp_from', label: 'Sender', example: 'meshping@example.org' },
    { name: 'smtp_user', label: 'User' },
    { name: 'smtp_password', label: 'Password' },
  ] },
  { key: 'log', title: 'Log', fields: [{ name: 'log_level', label: 'Least that is written', options: ['debug', 'info', 'warning', 'error'] }] },
];

const factors: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86400, y: 31536000, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40, '': 1 };

/** Of a duration in seconds, of a size in bytes; undefined: it is none. */
export function amountOf(text: string, type: 'duration' | 'size'): number | undefined {
  const parts = (type === 'size' ? /^(\d+)([KMGT]?)$/ : /^(\d+)([smhdy])$/).exec(text.trim());
  return parts ? Number(parts[1]) * factors[parts[2]!]! : undefined;
}

/** The labels of what is kept for less time or in less room than now: then data go, for good. */
export function losses(settings: readonly Setting[], edits: Edits): string[] {
  const most = (name: string, text: string | undefined) => {
    const size = name === 'database_max_size';
    const amount = amountOf(text ?? '', size ? 'size' : 'duration');
    return size && amount === 0 ? Infinity : amount;
  };
  return groups[0]!.fields.filter(({ name }) => {
    const setting = settings.find((one) => one.name === name);
    if (!setting || !(name in edits)) return false;
    const before = most(name, setting.value), after = most(name, edits[name] ?? setting.default);
    return before !== undefined && after !== undefined && after < before;
  }).map(({ label }) => label);
}
