// SPDX-License-Identifier: Apache-2.0
// The list of targets: an editor with a line each, and the list as the server has it.
import { useEffect, useRef, useState } from 'preact/hooks';
import { getAgents } from '../agents_api.ts';
import { Problem, getTargets, may, message, previewTargets, putTargets, type TargetsPreview } from '../api.ts';
import { useDraft } from '../drafts.ts';
import { count, dateTime } from '../format.ts';
import { LabelTags, formatLabels } from '../labels.tsx';
import { mesh, meshShape, serverNow } from '../live.ts';
import { usePolled } from '../polled.ts';
import { isPaused } from '../target_changes.ts';
import { formatTargets, parseTargets } from '../targets_text.ts';
import type { Labels, Target, TargetList } from '../types.ts';
import { Notice } from '../widgets.tsx';
import { TargetEdit, previewWords } from './target_edit.tsx';
import { TargetsFile } from './targets_file.tsx';

const LINE_PX = 20; // as in style.css
const PAGE = 250;

function Editor({ text, errorLine, onInput }: { text: string; errorLine: number | undefined; onInput: (text: string) => void }) {
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLPreElement>(null);
  const mark = useRef<HTMLDivElement>(null);
  const lines = text.split('\n').length;
  const follow = () => {
    if (!area.current) return;
    const top = area.current.scrollTop;
    if (gutter.current) gutter.current.style.transform = `translateY(${-top}px)`;
    if (mark.current) mark.current.style.transform = `translateY(${(errorLine ?? 0) * LINE_PX - top}px)`;
  };
  useEffect(() => {
    const element = area.current;
    if (errorLine === undefined || !element) return;
    const y = errorLine * LINE_PX;
    if (y < element.scrollTop || y > element.scrollTop + element.clientHeight - 2 * LINE_PX) element.scrollTop = Math.max(0, y - element.clientHeight / 3);
    follow();
  }, [errorLine]);
  return (
    <div class="editor">
      <div class="gutter" aria-hidden="true"><pre ref={gutter}>{Array.from({ length: lines }, (_, i) => i + 1).join('\n')}</pre></div>
      <div class="editor-body">
        {errorLine !== undefined && <div ref={mark} class="error-line" />}
        <textarea ref={area} aria-label="Targets, one a line: address and name" aria-invalid={errorLine !== undefined} aria-describedby="targets-help targets-error"
          data-testid="targets-text" spellcheck={false} wrap="off" autocapitalize="none" autocomplete="off"
          placeholder={'192.0.2.1 gateway\n2001:db8::1 core router\nhost.example'}
          value={text} onInput={(event) => onInput(event.currentTarget.value)} onScroll={follow} />
      </div>
    </div>
  );
}

const thresholds = ({ slow_ms, lossy_percent }: Target): string =>
  [slow_ms && `slow above ${slow_ms} ms`, lossy_percent && `lossy from ${lossy_percent} %`].filter(Boolean).join(', ') || 'default';

/** edit: undefined where one may not. `locked`: why it is not possible now. */
function SavedTable({ list, edit, locked }: { list: TargetList; edit?: (chosen: Target[]) => void; locked: string }) {
  const [chosen, setChosen] = useState(new Set<number>());
  const [filter, setFilter] = useState('');
  const [limit, setLimit] = useState(PAGE);
  const needle = filter.trim().toLowerCase();
  const found = needle ? list.targets.filter((target) => `${target.address} ${target.name} ${formatLabels(target.labels)}`.toLowerCase().includes(needle)) : list.targets;
  const special = list.targets.some((target) => target.interval_ms !== 5000 || target.timeout_ms !== 3000 || target.size !== 56 || target.dscp !== 0 || target.slow_ms || target.lossy_percent);
  const ticked = list.targets.filter((target) => chosen.has(target.id));
  const allTicked = found.length > 0 && found.every((target) => chosen.has(target.id));
  const toggle = (id: number) => setChosen((old) => new Set(old.has(id) ? [...old].filter((one) => one !== id) : [...old, id]));
  return (
    <section class="panel" aria-labelledby="saved-title">
      <header class="panel-head">
        <h2 id="saved-title">Saved list <span class="count">{list.targets.length.toLocaleString('en')}</span></h2>
        <input type="search" aria-label="Filter the saved list" placeholder="Filter" value={filter} onInput={(event) => { setFilter(event.currentTarget.value); setLimit(PAGE); }} />
        {edit && list.targets.length > 0 && (
          <div class="actions start full">
            <button type="button" class="quiet" data-testid="select-all" onClick={() => setChosen(new Set(allTicked ? [] : found.map((target) => target.id)))}>{allTicked ? 'Select none' : needle ? 'Select all that fit' : 'Select all'}</button>
            <button type="button" disabled={!ticked.length || Boolean(locked)} title={locked} data-testid="edit-selected" onClick={() => edit(ticked)}>Edit {ticked.length ? count(ticked.length, 'target') : 'the selected ones'}</button>
            {locked && ticked.length > 0 && <span class="soft">{locked}</span>}
          </div>
        )}
      </header>
      {list.targets.length === 0 ? <p class="empty">{may('operator') ? 'No targets yet. Write them above and save.' : 'No targets yet. An operator enters them.'}</p> : found.length === 0 ? <p class="empty">No target fits the filter.</p> : (
        <div class="table-wrap" tabIndex={0} role="group" aria-labelledby="saved-title">
          <table class="stack">
            <thead><tr>{edit && <th scope="col" class="tight"><span class="hidden">Selected</span></th>}<th scope="col" class="num tight">No</th><th scope="col">Address</th><th scope="col">Name</th><th scope="col" class="num">Interval</th><th scope="col" class="num">Timeout</th>{special && <><th scope="col" class="num">Size</th><th scope="col" class="num">DSCP</th><th scope="col">Thresholds</th></>}</tr></thead>
            <tbody>
              {found.slice(0, limit).map((target) => (
                <tr key={target.id} data-testid="target" data-target={target.address}>
                  {edit && <td class="tight"><input type="checkbox" aria-label={`Select ${target.address}`} checked={chosen.has(target.id)} data-testid="select" onChange={() => toggle(target.id)} /></td>}
                  <td class="num tight soft wide-only">{target.id}</td><td class="mono long">{target.address}</td><td class="long">{target.name}<LabelTags labels={target.labels} />
                    {isPaused(target, serverNow()) && <div class="soft" data-testid="paused">paused{target.paused?.until_ms && ` until ${dateTime(target.paused.until_ms)}`}: {target.paused?.reason}</div>}</td>
                  <td class="num" data-label="Interval">{target.interval_ms / 1000} s</td><td class="num" data-label="Timeout">{target.timeout_ms / 1000} s</td>
                  {special && <><td class="num" data-label="Size">{target.size}</td><td class="num" data-label="DSCP">{target.dscp}</td><td data-label="Thresholds">{thresholds(target)}</td></>}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {found.length > limit && <p class="more"><button type="button" onClick={() => setLimit(limit + PAGE)}>Show more ({(found.length - limit).toLocaleString('en')} left)</button></p>}
    </section>
  );
}

const PREVIEW_LINES = 50;

const fieldText = (value: unknown): string =>
  typeof value === 'object' && value !== null ? formatLabels(value as Labels) || '–' : String(value ?? '–');

/** What saving would do, line by line. */
function Preview({ preview, close }: { preview: TargetsPreview; close: () => void }) {
  const lines = [
    ...preview.added.map((target) => `+ ${target.address} ${target.name}`),
    ...preview.removed.map((target) => `− ${target.address} ${target.name}`),
    ...preview.changed.map(({ before, after }) => {
      const keys = (Object.keys({ ...before, ...after }) as (keyof typeof after)[]).filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
      return `~ ${after.address}: ${keys.map((key) => `${key} ${fieldText(before[key])} → ${fieldText(after[key])}`).join(', ')}`;
    }),
  ];
  return (
    <section class="panel pad" aria-labelledby="preview-title" data-testid="preview">
      <header class="panel-head flat"><h2 id="preview-title">Saving would do this</h2><button type="button" class="quiet" onClick={close}>Close</button></header>
      <p>{previewWords(preview)}</p>
      {lines.length > 0 && <pre class="preview" tabIndex={0} aria-label="Changes, one a line">{lines.slice(0, PREVIEW_LINES).join('\n')}{lines.length > PREVIEW_LINES && `\n… and ${(lines.length - PREVIEW_LINES).toLocaleString('en')} more`}</pre>}
      {preview.removed.length > 0 && <p class="soft">What was measured of a target that goes is kept as long as all samples are.</p>}
    </section>
  );
}

function Applied({ revision }: { revision: number }) {
  const { data } = usePolled(getAgents, 2000, [meshShape.value, revision]);
  const approved = (data ?? mesh.agents).filter((agent) => agent.state === 'approved');
  if (!approved.length) return <p class="soft">Revision {revision}. No approved agent yet to send it to.</p>;
  const applied = approved.filter((agent) => agent.targets_revision >= revision).length;
  const away = approved.filter((agent) => agent.targets_revision < revision && !agent.online).length;
  return (
    <p class="soft" data-testid="applied" data-applied={applied} data-revision={revision}>
      Revision {revision}, applied by {applied} of {count(approved.length, 'approved agent')}
      {away > 0 && ` (${away} offline: on return)`}
    </p>
  );
}

export function TargetsPage() {
  const there = meshShape.value > 0 ? mesh.targetsRevision : 0; // of the newest snapshot
  const { data: list, error, put, reload } = usePolled(getTargets, 0, [there]);
  const [draft, setDraft] = useDraft<string>('targets');
  const [said, setSaid] = useState<{ kind: 'error' | 'good' | 'warn'; text: string; line?: number }>();
  const [busy, setBusy] = useState(false);
  const [preview, setPreview] = useState<TargetsPreview>();
  const [edited, setEdited] = useState<{ list: TargetList; chosen: Target[] }>();

  if (!list) return <>{error ? <Notice kind="error">{error}</Notice> : <p class="soft" role="status">Loading…</p>}</>;
  const saved = formatTargets(list.targets);
  const shown = draft?.value ?? saved;
  const dirty = draft !== undefined;
  const begun = draft?.revision ?? list.revision; // what the edits began with
  const lines = parseTargets(shown, list.targets).items.length;
  const type = (text: string) => setDraft(text === saved && begun === list.revision ? undefined : { value: text, revision: begun });

  const fail = (cause: unknown, lineOf: number[]) => {
    const index = cause instanceof Problem ? cause.fields['index'] : undefined;
    const line = typeof index === 'number' ? lineOf[index] : undefined;
    setSaid({ kind: 'error', text: `${line === undefined ? '' : `Line ${line + 1}: `}${message(cause)}. Nothing was saved, the old list stays.`.replace('..', '.'), line });
  };
  const taken = (next: TargetList) => {
    put(next);
    setDraft(undefined);
    setPreview(undefined);
    setEdited(undefined);
    setSaid({ kind: 'good', text: `Saved: ${count(next.targets.length, 'target')}, revision ${next.revision}. The approved agents get it now.` });
  };
  const look = async () => {
    const parsed = parseTargets(shown, list.targets);
    setSaid(undefined);
    setPreview(undefined);
    await previewTargets(parsed.items).then(setPreview).catch((cause) => fail(cause, parsed.lines));
  };
  const save = async (event: Event) => {
    event.preventDefault();
    setPreview(undefined);
    const parsed = parseTargets(shown, list.targets);
    setBusy(true);
    setSaid(undefined);
    try {
      taken(await putTargets(parsed.items, begun));
    } catch (cause) {
      if (cause instanceof Problem && cause.status === 412) {
        setSaid({ kind: 'warn', text: 'Nothing was saved: somebody else changed the list meanwhile. Your text is kept.' });
        reload();
      } else fail(cause, parsed.lines);
    }
    setBusy(false);
  };

  return (
    <>
      <div class="page-head"><h1>Targets</h1><Applied revision={list.revision} /></div>
      {dirty && list.revision !== begun && !busy && (
        <Notice kind="warn">Somebody else has changed the list since you began; below is what is saved now.
          {' '}<button type="button" class="link" data-testid="drop-edits" onClick={() => { setDraft(undefined); setSaid(undefined); setPreview(undefined); }}>Drop your edits</button> or
          {' '}<button type="button" class="link" data-testid="keep-edits" onClick={() => { setDraft({ value: shown, revision: list.revision }); setSaid(undefined); void look(); }}>go on with them</button>: then saving puts your text in its place.</Notice>
      )}
      {may('operator') && <form class="panel pad" onSubmit={save}>
        <p class="soft" id="targets-help">One target a line: an IPv4 or IPv6 address or a host name, then, if you like, a name. Lines that begin with # are left out. At most {list.limit.toLocaleString('en')}.</p>
        <Editor text={shown} errorLine={said?.line} onInput={(next) => { type(next); setPreview(undefined); if (said) setSaid(undefined); }} />
        <div id="targets-error">{said && <Notice kind={said.kind}>{said.text}</Notice>}</div>
        <div class="actions start">
          <button type="submit" class="primary" disabled={!dirty || busy} data-testid="save-targets">{busy ? 'Saving…' : 'Save'}</button>
          <button type="button" disabled={!dirty || busy} data-testid="preview-targets" onClick={look}>Preview</button>
          <button type="button" disabled={!dirty || busy} onClick={() => { setDraft(undefined); setSaid(undefined); setPreview(undefined); }}>Undo edits</button>
          <span class={lines > list.limit ? 'warn-text' : 'soft'}>{count(lines, 'target')}{dirty ? ', not saved' : ''}</span>
        </div>
      </form>}
      {preview && <Preview preview={preview} close={() => setPreview(undefined)} />}
      <SavedTable list={list} edit={may('operator') ? (chosen) => setEdited({ list, chosen }) : undefined} locked={dirty ? 'Save or undo the edits above first.' : ''} />
      <TargetsFile list={list} locked={dirty} saved={taken} />
      {edited && <TargetEdit {...edited} close={() => setEdited(undefined)} saved={taken} />}
    </>
  );
}
