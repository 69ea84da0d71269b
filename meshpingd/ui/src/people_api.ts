// SPDX-License-Identifier: Apache-2.0
// Users, accounts, tokens and the audit log, as docs/API.md has them.
import { call } from './api.ts';

export type Role = 'viewer' | 'operator' | 'admin';
export const roles: { role: Role; words: string }[] = [
  { role: 'viewer', words: 'sees everything but users, passphrases and the audit log' },
  { role: 'operator', words: 'also changes targets' },
  { role: 'admin', words: 'also agents, users and passphrases' },
];

export interface User {
  id: number;
  name: string;
  role: Role;
  email: string;
  disabled: boolean;
  invited: boolean;
  created_ms: number;
  signed_in_ms: number;
}

export interface Link {
  user: User;
  token: string;
  path: string;
  expires_ms: number;
}

export interface Profile {
  user: string;
  role: Role;
  email: string;
}

export interface WebSession {
  id: string;
  current: boolean;
  created_ms: number;
  last_used_ms: number;
  address: string;
  agent: string;
}

export interface Token {
  id: number;
  user: string;
  name: string;
  role: Role;
  created_ms: number;
  expires_ms: number;
  used_ms: number;
}

export interface AuditRow {
  id: number;
  time_ms: number;
  user: string;
  via: string;
  address: string;
  action: string;
  object: string;
  detail: string;
}

const path = encodeURIComponent;

export const getUsers = () => call<{ users: User[] }>('/api/v1/users').then((answer) => answer.users);
export const createUser = (body: { name: string; role: Role; email: string }) => call<Link>('/api/v1/users', { method: 'POST', body });
export const changeUser = (id: number, body: Partial<Pick<User, 'name' | 'role' | 'email' | 'disabled'>>) =>
  call<User>(`/api/v1/users/${id}`, { method: 'PATCH', body });
export const makeLink = (id: number) => call<Link>(`/api/v1/users/${id}/link`, { method: 'POST', body: {} });
export const signOutUser = (id: number) => call<void>(`/api/v1/users/${id}/sessions`, { method: 'DELETE' });

export const getProfile = () => call<Profile>('/api/v1/profile');
export const setEmail = (email: string) => call<Profile>('/api/v1/profile', { method: 'PUT', body: { email } });
export const getSessions = () => call<{ sessions: WebSession[] }>('/api/v1/sessions').then((answer) => answer.sessions);
export const endSession = (id: string) => call<void>(`/api/v1/sessions/${path(id)}`, { method: 'DELETE' });
export const endOtherSessions = () => call<void>('/api/v1/sessions', { method: 'DELETE' });

export const getTokens = () => call<{ tokens: Token[] }>('/api/v1/tokens').then((answer) => answer.tokens);
export const createToken = (body: { name: string; role: Role; days: number }) => call<Token & { token: string }>('/api/v1/tokens', { method: 'POST', body });
export const deleteToken = (id: number) => call<void>(`/api/v1/tokens/${id}`, { method: 'DELETE' });

export const openLink = (token: string) => call<{ user: string; invited: boolean; expires_ms: number }>('/api/v1/links/open', { method: 'POST', body: { token } });
export const applyLink = (token: string, password: string) => call<void>('/api/v1/links/use', { method: 'POST', body: { token, password } });

export interface AuditQuery {
  before?: number;
  user?: string;
  action?: string;
  q?: string;
}
export function getAudit(query: AuditQuery): Promise<{ rows: AuditRow[]; next: number | null }> {
  const parts = Object.entries(query).filter(([, value]) => value).map(([key, value]) => `${key}=${path(String(value))}`);
  return call(`/api/v1/audit?${['limit=100', ...parts].join('&')}`);
}
