// SPDX-License-Identifier: Apache-2.0
// What is known of one cell, with its last hour: beside the pointer, or pinned.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { call, getSeries, may, message } from '../api.ts';
import { ago, duration, offset, rtt } from '../format.ts';
import type { Graph } from '../graph.ts';
import { liveStatus, meshTick, serverNow } from '../live.ts';
import { agentTitle, targetTitle } from '../model.ts';
import type { Cell } from '../model.ts';
import { refusalWords } from '../pages/agent_targets.tsx';
import { gapDetail, summarise, toMarks } from '../series.ts';
import { State, isMeasured, isPinged, stateInfo } from '../states.ts';
import { theme } from '../theme.ts';
import type { Series, TargetNote } from '../types.ts';
import { StateMark } from '../widgets.tsx';
import { ProbeNow } from './probe_now.tsx';

const GRAPH_HEIGHT = 170;
const REFRESH_MS = 5000;
/** Passing over cells must not ask for a graph each. */
const SETTLE_MS = 90;

interface CardProps {
  cell: Cell;
  /** Of the cell, in the window. */
  place: DOMRect;
  /** The lower end of the matrix, where a card hides no cell. */
  below: number;
  pinned: boolean;
  close: () => void;
}

function useSeries(agent: string, target: number): { series: Series | undefined; error: string } {
  const [series, setSeries] = useState<Series>();
  const [error, setError] = useState('');
  useEffect(() => {
    setSeries(undefined);
    setError('');
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const load = async () => {
      try {
        setSeries(await getSeries(agent, target, abort.signal));
        setError('');
      } catch (cause) {
        if (abort.signal.aborted) return;
        setError(message(cause));
      }
      timer = setTimeout(load, REFRESH_MS);
    };
    timer = setTimeout(load, SETTLE_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [agent, target]);
  return { series, error };
}

/** What the agent says of the target, beside samples; asked for again with each new series. */
function useNote(agent: string, target: number, series: Series | undefined): TargetNote | undefined {
  const [note, setNote] = useState<TargetNote>();
  useEffect(() => setNote(undefined), [agent, target]);
  useEffect(() => {
    if (!series) return;
    const abort = new AbortController();
    call<{ targets: TargetNote[] }>(`/api/v1/agents/${agent}/targets?target=${target}`, { signal: abort.signal })
      .then(({ targets: [told] }) => setNote(told), () => undefined);
    return () => abort.abort();
  }, [agent, target, series]);
  return note;
}

function HourGraph({ series, label }: { series: Series; label: string }) {
  const box = useRef<HTMLDivElement>(null);
  const graph = useRef<Graph | undefined>(undefined);
  const latest = useRef(series);
  const [point, setPoint] = useState('');
  latest.current = series;
  const look = theme.value;
  useEffect(() => {
    let gone = false;
    import('../graph.ts').then(({ makeGraph }) => {
      if (gone || !box.current) return;
      graph.current = makeGraph(box.current, toMarks(latest.current), box.current.clientWidth, GRAPH_HEIGHT, setPoint);
    });
    return () => {
      gone = true;
      graph.current?.destroy();
      graph.current = undefined;
    };
  }, [look]);
  useEffect(() => graph.current?.update(toMarks(series)), [series]);
  return (
    <div class="graph-wrap">
      <div ref={box} class="graph" role="img" aria-label={label} data-testid="graph" />
      <div class="graph-point" aria-hidden="true">{point}</div>
    </div>
  );
}

function Hour({ series, cell }: { series: Series; cell: Cell }) {
  const hour = summarise(series);
  const marks = toMarks(series);
  const span = duration((marks.toS - marks.fromS) * 1000);
  const loss = Number.isNaN(hour.lossPercent) ? 'no verdicts' : `${hour.lossPercent.toFixed(hour.lossPercent && hour.lossPercent < 10 ? 1 : 0)} % lost`;
  const label = `Last ${span} of ${agentTitle(cell.agent)} to ${targetTitle(cell.target)}: ${hour.replies} replies, ${hour.lost} lost, ` +
    `${hour.local} times the agent's own trouble, ${hour.missing} missing stretches, ${hour.pauses} pauses`;
  return (
    <>
      <HourGraph series={series} label={label} />
      <ul class="graph-key" aria-hidden="true">
        <li><i class="key-line" />round trip</li>
        <li><i class="key-loss" />lost</li>
        <li><i class="key-local" />agent trouble</li>
        <li><i class="key-gap" />missing</li>
        <li><i class="key-pause" />paused</li>
      </ul>
      {cell.agent.clock_skewed && (
        <p class="warn-text" data-testid="clock-note">
          Its clock is {offset(cell.agent.clock_offset_us ?? 0)} off the server's: times of samples are on its own clock.
        </p>
      )}
      {[...new Set(series.gaps.map(gapDetail))].map((words) => (
        <p class="soft wrap" data-testid="gap-reason" key={words}>{words}</p>
      ))}
      <dl class="hour">
        <div><dt>{span}</dt><dd>{loss}</dd></div>
        <div><dt>min</dt><dd>{hour.minUs === null ? '–' : rtt(hour.minUs)}</dd></div>
        <div><dt>mean</dt><dd>{hour.meanUs === null ? '–' : rtt(hour.meanUs)}</dd></div>
        <div><dt>p95</dt><dd>{hour.p95Us === null ? '–' : rtt(hour.p95Us)}</dd></div>
        <div><dt>max</dt><dd>{hour.maxUs === null ? '–' : rtt(hour.maxUs)}</dd></div>
      </dl>
    </>
  );
}

/** Below the matrix if there is room, else beside the cell, else over or under it. */
function placeCard(card: HTMLElement, place: DOMRect, below: number): void {
  const { offsetHeight: height, offsetWidth: width } = card;
  const end = innerWidth - width - 8;
  let left = Math.max(8, Math.min(place.left - 40, end));
  let top = below + 8;
  if (top + height + 8 > innerHeight) {
    if (place.right + 14 < end) [left, top] = [place.right + 14, place.top - 40];
    else if (place.left - width - 14 > 8) [left, top] = [place.left - width - 14, place.top - 40];
    else top = place.bottom + 12 + height < innerHeight ? place.bottom + 12 : place.top - height - 12;
  }
  card.style.left = `${left}px`;
  card.style.top = `${Math.max(8, Math.min(top, innerHeight - height - 8))}px`;
}

/** A pinned card takes the focus, and gives it back. */
function useFocus(pinned: boolean) {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!pinned) return;
    const before = document.activeElement;
    button.current?.focus({ preventScroll: true });
    return () => {
      if (before instanceof HTMLElement) before.focus({ preventScroll: true });
    };
  }, [pinned]);
  return button;
}

export function CellCard({ cell, place, below, pinned, close }: CardProps) {
  meshTick.value;
  const box = useRef<HTMLElement>(null);
  const closeButton = useFocus(pinned);
  const { series, error } = useSeries(cell.agent.id, cell.target.id);
  const note = useNote(cell.agent.id, cell.target.id, series);
  useLayoutEffect(() => {
    if (box.current && innerWidth >= 620) placeCard(box.current, place, below);
  });
  const info = stateInfo(cell.state);
  const lastOutcome = series ? summarise(series).lastOutcome : '';
  const why = (cell.state === State.Fail || cell.state === State.LocalError) && lastOutcome && lastOutcome !== 'ok' ? ` (${lastOutcome.replaceAll('_', ' ')})` : '';
  const live = liveStatus.value === 'live';
  return (
    <aside ref={box} class={`card ${pinned ? 'pinned' : ''}`} aria-label="Cell" data-testid="card" data-state={info.key}>
      <header>
        <h2>{agentTitle(cell.agent)} <span aria-label="to">→</span> {targetTitle(cell.target)}</h2>
        {pinned && <button ref={closeButton} type="button" class="icon" aria-label="Close" onClick={close}>✕</button>}
      </header>
      <p class="soft mono">{cell.agent.observed_address || 'address unknown'} → {cell.target.address}{note?.address && <span data-testid="resolved"> = {note.address}</span>}</p>
      <p class="state"><StateMark state={cell.state} /> <b>{info.label}</b>: {info.words}{why}{live ? '' : '. Not live: the connection to the server is lost.'}</p>
      {note?.refused && <p class="warn-text" data-testid="refused">Not measured by this agent: {refusalWords(note.refused)}.</p>}
      <dl class="facts">
        <div><dt>Last round trip</dt><dd>{isMeasured(cell.state) ? rtt(cell.rttUs) : '–'}</dd></div>
        <div><dt>Lost of last 12</dt><dd>{isMeasured(cell.state) ? cell.lost : '–'}</dd></div>
        <div><dt>Last sample</dt><dd>{ago(cell.seenMs, serverNow())}</dd></div>
      </dl>
      {error ? <p class="error" role="alert">The last hour could not be loaded: {error}</p>
        : series ? <Hour series={series} cell={cell} />
        : <div class="graph-wait" aria-hidden="true" />}
      {pinned && may('operator') && isPinged(cell.state) && <ProbeNow key={`${cell.agent.id} ${cell.target.id}`} cell={cell} />}
      {!pinned && <p class="hint">Click, tap or Enter keeps this open.</p>}
    </aside>
  );
}
