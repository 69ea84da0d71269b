// SPDX-License-Identifier: Apache-2.0
// The live mesh in flat arrays: 14 bytes and a double a cell, so that a million cells are a few buffers, not objects.
import { STATE_COUNT, State, weight } from './states.ts';
import type { Agent, Delta, Labels, Snapshot, Target } from './types.ts';

export const NO_RTT = 0xffffffff;

export interface Cell {
  agent: Agent;
  target: Target;
  state: number;
  rttUs: number | null;
  lost: number;
  seenMs: number;
}

type Cells = Pick<Mesh, 'state' | 'rtt' | 'lost' | 'seen' | 'counts'>;
export type FlatSnapshot = Omit<Snapshot, 'cells'> & { cells: Cells };

const rowsOf = (agents: Agent[]): Agent[] => agents.filter((agent) => agent.state === 'approved' || agent.state === 'hold');
const known = (state: number): number => (state < STATE_COUNT ? state : State.NoData);

/** A snapshot's cells as they are kept, without a mesh: feed.ts does it beside the page. */
export function flatten({ cells: lines, ...snapshot }: Snapshot): FlatSnapshot {
  const rows = rowsOf(snapshot.agents), columns = snapshot.targets.length, size = rows.length * columns;
  const cells = {
    state: new Uint8Array(size).fill(State.NoData), rtt: new Uint32Array(size).fill(NO_RTT), lost: new Uint8Array(size), seen: new Float64Array(size),
    counts: new Uint32Array(STATE_COUNT),
  };
  rows.forEach((agent, row) => {
    lines[agent.id]?.slice(0, columns).forEach(([state, rttUs, lost, seenMs], column) => {
      const at = row * columns + column;
      cells.state[at] = known(state);
      cells.rtt[at] = rttUs === null ? NO_RTT : rttUs;
      cells.lost[at] = lost;
      cells.seen[at] = seenMs;
    });
  });
  for (const state of cells.state) cells.counts[state]!++;
  return { ...snapshot, cells };
}

export class Mesh {
  timeMs = 0;
  version = -1;
  targetsRevision = 0;
  intervalMs = 5000;
  /** All agents, of any status. */
  agents: Agent[] = [];
  /** Those with a row: approved and held. */
  rows: Agent[] = [];
  targets: Target[] = [];
  state = new Uint8Array(0);
  rtt = new Uint32Array(0);
  lost = new Uint8Array(0);
  seen = new Float64Array(0);
  /** Cells of each state. */
  counts = new Uint32Array(STATE_COUNT);
  private rowById = new Map<string, number>();

  applySnapshot({ agents, targets, cells, ...snapshot }: FlatSnapshot): void {
    this.timeMs = snapshot.time_ms;
    this.version = snapshot.version;
    this.targetsRevision = snapshot.targets_revision;
    this.intervalMs = snapshot.interval_ms;
    this.agents = agents;
    this.rows = rowsOf(agents);
    this.targets = targets;
    this.rowById = new Map(this.rows.map((agent, row) => [agent.id, row]));
    Object.assign(this, cells);
  }

  /** False: the delta belongs to another snapshot, and nothing was changed. */
  applyDelta(delta: Delta): boolean {
    if (delta.version !== this.version) return false;
    this.timeMs = delta.time_ms;
    const columns = this.targets.length;
    for (const [id, line] of Object.entries(delta.cells)) {
      const row = this.rowById.get(id);
      if (row === undefined) continue;
      for (const [column, state, rttUs, lost, seenMs] of line) {
        if (column < columns) this.set(row * columns + column, state, rttUs, lost, seenMs);
      }
    }
    return true;
  }

  private set(at: number, state: number, rttUs: number | null, lost: number, seenMs: number): void {
    this.counts[this.state[at]!]!--;
    this.state[at] = known(state);
    this.counts[this.state[at]!]!++;
    this.rtt[at] = rttUs === null ? NO_RTT : rttUs;
    this.lost[at] = lost;
    this.seen[at] = seenMs;
  }

  cell(row: number, column: number): Cell | undefined {
    const agent = this.rows[row];
    const target = this.targets[column];
    if (!agent || !target) return undefined;
    const at = row * this.targets.length + column;
    const rttUs = this.rtt[at]!;
    return { agent, target, state: this.state[at]!, rttUs: rttUs === NO_RTT ? null : rttUs, lost: this.lost[at]!, seenMs: this.seen[at]! };
  }
}

export interface View {
  agentFilter: string;
  targetFilter: string;
  /** Only rows and columns with a cell in one of these states; empty: all. */
  only: ReadonlySet<number>;
  problemsFirst: boolean;
}

export interface Order {
  rows: Uint32Array;
  columns: Uint32Array;
}

export function targetTitle(target: Target): string {
  return target.name || target.address;
}

export const agentTitle = (agent: Agent): string => agent.name || agent.host_name;

const labelWords = (labels: Labels): string[] => Object.entries(labels).map(([key, value]) => `${key}=${value}`);

function matches(filter: string, ...texts: string[]): boolean {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => texts.some((text) => text.toLowerCase().includes(word)));
}

/** Which rows and columns are shown, and in what order. */
export function arrange(mesh: Mesh, view: View): Order {
  const rows: number[] = [];
  const columns: number[] = [];
  mesh.rows.forEach((agent, row) => {
    if (matches(view.agentFilter, agent.name, agent.host_name, agent.observed_address, agent.id, ...labelWords(agent.labels))) rows.push(row);
  });
  mesh.targets.forEach((target, column) => {
    if (matches(view.targetFilter, target.name, target.address, ...labelWords(target.labels))) columns.push(column);
  });
  if (view.only.size === 0 && !view.problemsFirst) return { rows: Uint32Array.from(rows), columns: Uint32Array.from(columns) };

  const rowScore = new Float64Array(mesh.rows.length);
  const columnScore = new Float64Array(mesh.targets.length);
  const rowHas = new Uint8Array(mesh.rows.length);
  const columnHas = new Uint8Array(mesh.targets.length);
  for (const row of rows) {
    for (const column of columns) {
      const state = mesh.state[row * mesh.targets.length + column]!;
      rowScore[row]! += weight[state]!;
      columnScore[column]! += weight[state]!;
      if (view.only.has(state)) rowHas[row] = columnHas[column] = 1;
    }
  }
  const keep = (has: Uint8Array, score: Float64Array, list: number[]) => {
    const kept = view.only.size ? list.filter((i) => has[i]) : list;
    if (view.problemsFirst) kept.sort((a, b) => score[b]! - score[a]! || a - b);
    return Uint32Array.from(kept);
  };
  return { rows: keep(rowHas, rowScore, rows), columns: keep(columnHas, columnScore, columns) };
}
