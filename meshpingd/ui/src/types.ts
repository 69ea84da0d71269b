// SPDX-License-Identifier: Apache-2.0
// What docs/API.md says, as types. Times are Unix milliseconds (_ms), round trips microseconds (_us).

export type AgentState = 'pending' | 'approved' | 'hold' | 'blacklisted';
export type AgentAction = 'approve' | 'reject' | 'hold' | 'reinstate';

export type Labels = Record<string, string>;

export interface Agent {
  id: string;
  host_name: string;
  /** What people call it; empty: its host name. */
  name: string;
  labels: Labels;
  /** Where it wants to be pinged, as it says. */
  advertised_address: string;
  state: AgentState;
  online: boolean;
  version: string;
  fingerprint: string;
  reported_address: string;
  observed_address: string;
  approved_addresses: string;
  reason: string;
  quarantine_bytes: number;
  first_seen_ms: number;
  last_seen_ms: number;
  state_changed_ms: number;
  buffered_samples: number;
  dropped_samples: number;
  targets_revision: number;
  /** How many of its targets it cannot measure. */
  refused_targets: number;
  /** null: not told yet. */
  load: { cpu_permille: number; load_permille: number; late_probes: number; overloaded: number } | null;
  revision: number;
  same_host_name: boolean;
  /** The agent's clock minus the server's; null: not measured. */
  clock_offset_us: number | null;
  clock_error_us: number | null;
  clock_skewed: boolean;
}

/** What an agent says of a target, beside samples. */
export interface TargetNote {
  target: number;
  refused?: string;
  address?: string;
}

/** Probes beside the schedule, and what they have found so far. */
export interface ProbeRequest {
  id: number;
  asked_ms: number;
  /** Nothing is waited for any more. */
  done: boolean;
  probes: {
    agent: string;
    target: number;
    state: 'waiting' | 'answered' | 'not_probed' | 'no_answer';
    outcome?: string;
    rtt_us?: number;
    reason?: 'unknown_target' | 'busy';
    sent_ms?: number;
    address?: string;
  }[];
}

/** The key by which agents know the server, and how far its change is. */
export interface ServerKeyState {
  pin: string;
  /** null: no change is going on. */
  next: string | null;
  approved: number;
  waiting_count: number;
  waiting: KeyHolder[];
  left_behind: KeyHolder[];
}
export interface KeyHolder {
  id: string;
  host_name: string;
  online: boolean;
  last_seen_ms: number;
}

/** What an agent sent on hold: one process of it, from one address. */
export interface QuarantineSource {
  id: number;
  epoch: string;
  address: string;
  decided: boolean;
  blocks: number;
  samples: number;
  bytes: number;
  first_ms: number;
  last_ms: number;
}

export interface Pause {
  reason: string;
  until_ms?: number;
}

export interface Target {
  id: number;
  address: string;
  name: string;
  interval_ms: number;
  timeout_ms: number;
  size: number;
  dscp: number;
  family?: number;
  labels: Labels;
  slow_ms?: number;
  lossy_percent?: number;
  /** Nobody is to ping it; without an end until somebody resumes it. */
  paused?: Pause;
  /** In the matrix: the agent of a mesh that this column is. */
  agent?: string;
  ttl?: number;
  dont_fragment?: boolean;
  source?: string;
  interface?: string;
}

export interface TargetList {
  revision: number;
  limit: number;
  targets: Target[];
}

export interface Rule {
  name: string;
  kind: 'targets' | 'mesh';
  agents: string;
  targets: string;
}

export interface RuleList {
  revision: number;
  limit: number;
  rules: Rule[];
}

export interface Session {
  user: string;
  role: string;
  csrf: string;
}

/** [state, rtt_us, lost, seen_ms] */
export type SnapshotCell = [number, number | null, number, number];
/** [target_index, state, rtt_us, lost, seen_ms] */
export type DeltaCell = [number, number, number | null, number, number];

export interface Snapshot {
  alarms?: Alarm[];
  time_ms: number;
  version: number;
  targets_revision: number;
  interval_ms: number;
  agents: Agent[];
  targets: Target[];
  cells: Record<string, SnapshotCell[]>;
}

export interface Delta {
  time_ms: number;
  version: number;
  alarms?: Alarm[];
  cells: Record<string, DeltaCell[]>;
}

/** What the server's owner has to know now. */
export interface Alarm {
  kind: string;
  text: string;
  since_ms: number;
}

export type LiveMessage = { event: 'snapshot'; data: Snapshot } | { event: 'delta'; data: Delta };

export interface Series {
  agent: string;
  target: number;
  from_ms: number;
  to_ms: number;
  interval_ms: number;
  time_ms: number[];
  rtt_us: (number | null)[];
  outcome: string[];
  flags: number[];
  gaps: { from_ms: number; to_ms: number; reason: string; cause?: string; pause?: { reason: string; from_ms: number; until_ms?: number } }[];
  clock: { time_ms: number; offset_us: number; error_us: number }[];
  damaged: { from_ms: number; to_ms: number }[];
}

export interface Passphrase {
  id: string;
  label: string;
  created_ms: number;
  expires_ms: number;
  uses_max: number;
  uses: number;
  revoked: boolean;
  /** The first so many are approved at once when they come from these ranges; so many were. */
  preapprove: number;
  preapproved: number;
  preapprove_from: string;
}

export interface PassphraseRequest {
  advertise?: string;
  label?: string;
  hours: number;
  uses: number;
  preapprove?: number;
  preapprove_from?: string;
}

export interface IssuedPassphrase {
  id: string;
  passphrase: string;
  label: string;
  expires_ms: number;
  uses_max: number;
  commands: Record<string, string>;
}

export interface ServerEvent {
  time_ms: number;
  kind: string;
  agent: string | null;
  user: string | null;
  text: string;
}

export interface ServerInfo {
  version: string;
  server_id: string;
  started_ms: number;
  advertise: string[];
  addresses: string[];
  port: number;
  pin: string;
  retention_s: number;
  rollup_retention_s: number;
  database: { file_bytes: number; used_bytes: number; max_bytes: number; cut_blocks: number };
  thresholds: { slow_rtt_us: number; lossy_count: number; stale_intervals: number };
  viewers: number;
}
