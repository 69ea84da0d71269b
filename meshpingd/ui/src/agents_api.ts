// SPDX-License-Identifier: Apache-2.0
// What an administrator may do with agents: docs/API.md, Agents.
import { call } from './api.ts';
import type { Agent, AgentAction, Labels, QuarantineSource, TargetNote } from './types.ts';

/** What goes with an action; each part only where the API knows it. */
export interface Decision {
  addresses?: string;
  successor_of?: string;
  keep?: number[];
  block_address?: boolean;
  revoke_passphrase?: boolean;
}
export interface BulkResult {
  approved: number;
  results: { id: string; approved: boolean; detail?: string }[];
}

const path = (agent: Agent, what: string) => `/api/v1/agents/${encodeURIComponent(agent.id)}/${what}`;
const seen = ({ fingerprint, revision }: Agent) => ({ fingerprint, revision });

export const getAgents = () => call<{ agents: Agent[] }>('/api/v1/agents').then((answer) => answer.agents);
export const actOnAgent = (agent: Agent, action: AgentAction, decision: Decision = {}) =>
  call<Agent>(path(agent, action), { method: 'POST', body: { ...seen(agent), ...decision } });
export const changeAgent = (agent: Agent, change: { name?: string; labels?: Labels }) =>
  call<Agent>(`/api/v1/agents/${encodeURIComponent(agent.id)}`, { method: 'PATCH', body: change, headers: { 'If-Match': `"${agent.revision}"` } });
export const approveAgents = (agents: Agent[]) =>
  call<BulkResult>('/api/v1/agents/approve', { method: 'POST', body: { agents: agents.map((agent) => ({ id: agent.id, ...seen(agent) })) } });
export const putAddresses = (agent: Agent, addresses: string) =>
  call<Agent>(path(agent, 'addresses'), { method: 'PUT', body: { addresses, revision: agent.revision } });
/** Asks it; its fingerprint tells when it has answered. */
export const rekeyAgent = (agent: Agent) => call<Agent>(path(agent, 'rekey'), { method: 'POST', body: seen(agent) });
export const getQuarantine = (agent: Agent) =>
  call<{ limit_bytes: number; sources: QuarantineSource[] }>(path(agent, 'quarantine')).then((answer) => answer.sources);
export const getNotes = (agent: Agent) => call<{ targets: TargetNote[] }>(path(agent, 'targets')).then((answer) => answer.targets);
export const getBlocked = () => call<{ addresses: string }>('/api/v1/blocked').then((answer) => answer.addresses);
export const putBlocked = (addresses: string) =>
  call<{ addresses: string }>('/api/v1/blocked', { method: 'PUT', body: { addresses } }).then((answer) => answer.addresses);
