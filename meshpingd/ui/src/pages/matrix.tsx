// SPDX-License-Identifier: Apache-2.0
// Home: the live matrix, what its signs mean, and what is wrong now.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { signal } from '@preact/signals';
import { count } from '../format.ts';
import { liveStatus, mesh, meshShape, meshTick } from '../live.ts';
import { CellCard } from '../matrix/card.tsx';
import { CellsTable } from '../matrix/cells_table.tsx';
import { MatrixSurface } from '../matrix/surface.tsx';
import type { Chosen } from '../matrix/surface.tsx';
import { arrange } from '../model.ts';
import type { Cell, Order } from '../model.ts';
import { bySeverity, State, stateInfo } from '../states.ts';
import { StateMark } from '../widgets.tsx';

// Kept while one looks at other pages.
const agentFilter = signal('');
const targetFilter = signal('');
const problemsFirst = signal(false);
const only = signal<ReadonlySet<number>>(new Set());

function Summary() {
  meshTick.value;
  const online = mesh.rows.filter((agent) => agent.online).length;
  const { counts } = mesh;
  const failing = counts[State.Fail]!;
  const unwell = counts[State.Lossy]! + counts[State.Slow]!;
  return (
    <p class="summary" data-testid="summary">
      <b>{online} of {count(mesh.rows.length, 'agent')}</b> online
      <span class="sep">·</span><b>{count(mesh.targets.length, 'target')}</b>
      <span class="sep">·</span>
      <b class={failing ? 'bad' : ''}>{count(failing, 'cell')} failing</b>
      {unwell > 0 && <><span class="sep">·</span><b>{unwell.toLocaleString('en')}</b> slow or lossy</>}
    </p>
  );
}

function Legend() {
  meshTick.value;
  const toggle = (state: number) => {
    const next = new Set(only.value);
    if (!next.delete(state)) next.add(state);
    only.value = next;
  };
  return (
    <div class="legend" role="group" aria-label="States; press one to show only rows and columns that have it">
      {[State.Ok, ...bySeverity.filter((state) => state !== State.Ok)].map((state) => {
        const info = stateInfo(state);
        const n = mesh.counts[state]!;
        return (
          <button key={state} type="button" class={`chip ${n ? '' : 'none'}`} aria-pressed={only.value.has(state)} title={info.words}
            onClick={() => toggle(state)} data-testid={`legend-${info.key}`} data-count={n}>
            <StateMark state={state} size={16} />{info.label} <span class="n">{n.toLocaleString('en')}</span>
          </button>
        );
      })}
    </div>
  );
}

function FirstSteps() {
  const targets = mesh.targets.length > 0;
  const agents = mesh.agents.length > 0;
  const pending = mesh.agents.filter((agent) => agent.state === 'pending').length;
  return (
    <section class="panel steps" aria-labelledby="steps-title" data-testid="first-steps">
      <h2 id="steps-title">Nothing to show yet: three steps to a live matrix</h2>
      <ol>
        <li class={targets ? 'done' : ''}><a href="#/targets">Enter the targets</a><span> what every agent shall ping: addresses or host names</span></li>
        <li class={agents ? 'done' : ''}><a href="#/add">Add an agent</a><span> issue a passphrase and paste one command on the other host</span></li>
        <li><a href="#/agents">Approve it</a><span> {pending ? `${count(pending, 'agent')} waiting for you now` : 'once it has joined, it waits for your word'}</span></li>
      </ol>
    </section>
  );
}

const viewKey = () => JSON.stringify([agentFilter.value, targetFilter.value, [...only.value], problemsFirst.value]);

function useOrder(frozen: boolean): Order {
  const view = { agentFilter: agentFilter.value, targetFilter: targetFilter.value, only: only.value, problemsFirst: problemsFirst.value };
  const moving = view.problemsFirst || view.only.size > 0;
  const tick = moving ? meshTick.value : 0;
  const key = viewKey() + meshShape.value;
  const kept = useRef<{ key: string; tick: number; order: Order } | undefined>(undefined);
  // Rows must not jump away from under the pointer.
  if (!kept.current || kept.current.key !== key || (tick !== kept.current.tick && !frozen)) {
    const order = arrange(mesh, view);
    const same = kept.current?.key === key && String(order.rows) === String(kept.current.order.rows) && String(order.columns) === String(kept.current.order.columns);
    kept.current = { key, tick, order: same ? kept.current!.order : order };
  }
  return kept.current.order;
}

interface Open {
  agent: string;
  target: number;
  place: DOMRect;
  below: number;
  pinned: boolean;
}

function findCell(open: Open): Cell | undefined {
  const row = mesh.rows.findIndex((agent) => agent.id === open.agent);
  const column = mesh.targets.findIndex((target) => target.id === open.target);
  return row < 0 || column < 0 ? undefined : mesh.cell(row, column);
}

export function MatrixPage() {
  const shape = meshShape.value;
  const [open, setOpen] = useState<Open>();
  const order = useOrder(open !== undefined);
  const choose = useCallback((chosen: Chosen | undefined) => {
    setOpen((old) => {
      if (!chosen) return old?.pinned ? old : undefined;
      if (old?.pinned && !chosen.pinned) return old;
      const cell = mesh.cell(chosen.row, chosen.column);
      return cell && { agent: cell.agent.id, target: cell.target.id, place: chosen.place, below: chosen.below, pinned: chosen.pinned };
    });
  }, []);
  const close = useCallback(() => setOpen(undefined), []);
  useEffect(() => {
    const escape = (event: KeyboardEvent) => event.key === 'Escape' && close();
    addEventListener('keydown', escape);
    return () => removeEventListener('keydown', escape);
  }, []);

  if (shape === 0) return <p class="empty" role="status">{liveStatus.value === 'lost' ? 'No connection to the server yet; trying again.' : 'Loading the matrix…'}</p>;
  const empty = mesh.rows.length === 0 || mesh.targets.length === 0;
  meshTick.value;
  const cell = open && findCell(open);
  const nothing = order.rows.length === 0 || order.columns.length === 0;
  return (
    <div class={`matrix-page ${liveStatus.value === 'live' ? '' : 'not-live'}`}>
      <h1 class="hidden">Matrix</h1>
      {empty ? <FirstSteps /> : (
        <>
          <div class="toolbar">
            <Summary />
            <div class="filters">
              <input type="search" aria-label="Filter agents" placeholder="Agents…" value={agentFilter.value} onInput={(event) => (agentFilter.value = event.currentTarget.value)} />
              <input type="search" aria-label="Filter targets" placeholder="Targets…" value={targetFilter.value} onInput={(event) => (targetFilter.value = event.currentTarget.value)} />
              <button type="button" aria-pressed={problemsFirst.value} data-testid="problems-first" onClick={() => (problemsFirst.value = !problemsFirst.value)}>Problems first</button>
            </div>
          </div>
          <Legend />
          {nothing
            ? <p class="panel empty" role="status">No row and column fit the filter. <button type="button" class="link" onClick={() => { agentFilter.value = targetFilter.value = ''; only.value = new Set(); }}>Show all</button></p>
            : <MatrixSurface order={order} shape={shape} view={viewKey()} onChoose={choose} />}
          <CellsTable order={order} onOpen={(of, place) => setOpen({ agent: of.agent.id, target: of.target.id, place, below: place.bottom, pinned: true })} />
        </>
      )}
      {open && cell && <CellCard cell={cell} place={open.place} below={open.below} pinned={open.pinned} close={close} />}
    </div>
  );
}
