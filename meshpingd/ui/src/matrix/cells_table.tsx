// SPDX-License-Identifier: Apache-2.0
// The same cells as a table: what needs a look, or all of them. For reading aloud, searching, copying.
import { useState } from 'preact/hooks';
import { ago, rtt } from '../format.ts';
import { mesh, meshTick, serverNow } from '../live.ts';
import { agentTitle, targetTitle } from '../model.ts';
import type { Cell, Order } from '../model.ts';
import { State, bySeverity, isMeasured, stateInfo } from '../states.ts';
import type { Agent } from '../types.ts';
import { StateMark } from '../widgets.tsx';

const PAGE = 200;
/** An agent's absence is one line, not one a target: see Away. */
const isProblem = (state: number) => state !== State.Ok && isMeasured(state) && state !== State.Offline;

/** The first `limit` cells in order of severity, and how many there are. */
function collect(order: Order, all: boolean, limit: number): { cells: Cell[]; total: number } {
  const columns = mesh.targets.length;
  const buckets: number[][] = bySeverity.map(() => []);
  let total = 0;
  for (const row of order.rows) {
    for (const column of order.columns) {
      const at = row * columns + column;
      const state = mesh.state[at]!;
      if (!all && !isProblem(state)) continue;
      total++;
      const bucket = buckets[bySeverity.indexOf(state)]!;
      if (bucket.length < limit) bucket.push(at);
    }
  }
  const cells: Cell[] = [];
  for (const bucket of buckets) {
    for (const at of bucket) {
      if (cells.length === limit) return { cells, total };
      const cell = mesh.cell(Math.floor(at / columns), at % columns);
      if (cell) cells.push(cell);
    }
  }
  return { cells, total };
}

/** Agents that are away, of those shown. */
function awayAgents(order: Order): Agent[] {
  return Array.from(order.rows, (row) => mesh.rows[row]!).filter((agent) => agent && !agent.online);
}

function Away({ agent, now }: { agent: Agent; now: number }) {
  return (
    <tr data-testid="away" data-agent={agent.host_name}>
      <td><span class="with-mark"><StateMark state={State.Offline} />{stateInfo(State.Offline).label}</span></td>
      <td class="long">{agentTitle(agent)}</td>
      <td class="soft">all its cells; the targets may be fine</td>
      <td class="num wide-only">–</td>
      <td class="num wide-only">–</td>
      <td class="num wide-only">{ago(agent.last_seen_ms, now)}</td>
    </tr>
  );
}

export function CellsTable({ order, onOpen }: { order: Order; onOpen: (cell: Cell, place: DOMRect) => void }) {
  meshTick.value;
  const [all, setAll] = useState(false);
  const [limit, setLimit] = useState(PAGE);
  const { cells, total } = collect(order, all, limit);
  const now = serverNow();
  const away = all ? [] : awayAgents(order);
  return (
    <section class="panel" aria-labelledby="cells-title">
      <header class="panel-head">
        <h2 id="cells-title">{all ? 'All cells' : 'Needs a look'} <span class="count">{(total + away.length).toLocaleString('en')}</span></h2>
        <label class="check"><input type="checkbox" checked={all} data-testid="all-cells" onChange={(event) => { setAll(event.currentTarget.checked); setLimit(PAGE); }} /> All cells</label>
      </header>
      {total + away.length === 0 ? <p class="empty">{all ? 'No cells to show.' : 'Nothing. Every cell with data is OK.'}</p> : (
        <div class="table-wrap" tabIndex={0} role="group" aria-labelledby="cells-title">
          <table class="cells">
            <thead><tr><th scope="col">State</th><th scope="col">Agent</th><th scope="col">Target</th><th scope="col" class="num wide-only">Last round trip</th><th scope="col" class="num wide-only">Lost of 12</th><th scope="col" class="num wide-only">Last sample</th></tr></thead>
            <tbody>
              {cells.map((cell) => {
                const info = stateInfo(cell.state);
                return (
                  <tr key={`${cell.agent.id} ${cell.target.id}`} data-testid="cell" data-agent={cell.agent.host_name} data-agent-id={cell.agent.id}
                    data-target={cell.target.address} data-state={info.key}>
                    <td><span class="with-mark"><StateMark state={cell.state} />{info.label}</span></td>
                    <td class="long">{agentTitle(cell.agent)}</td>
                    <td class="long"><button type="button" class="link" onClick={(event) => onOpen(cell, event.currentTarget.getBoundingClientRect())}>{targetTitle(cell.target)}</button>
                      {cell.target.name && <span class="soft mono wide-only"> {cell.target.address}</span>}</td>
                    <td class="num wide-only">{isMeasured(cell.state) ? rtt(cell.rttUs) : '–'}</td>
                    <td class="num wide-only">{isMeasured(cell.state) ? cell.lost : '–'}</td>
                    <td class="num wide-only">{ago(cell.seenMs, now)}</td>
                  </tr>
                );
              })}
              {away.slice(0, limit - cells.length).map((agent) => <Away key={agent.id} agent={agent} now={now} />)}
            </tbody>
          </table>
        </div>
      )}
      {limit < total + away.length && <p class="more"><button type="button" onClick={() => setLimit(limit + PAGE)}>Show more ({(total + away.length - limit).toLocaleString('en')} left)</button></p>}
    </section>
  );
}
