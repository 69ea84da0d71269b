// SPDX-License-Identifier: Apache-2.0
// Every setting of one target, or of several at once, with a look at what saving would do.
import { useState } from 'preact/hooks';
import { Problem, message, previewTargets, putTargets, type TargetsPreview } from '../api.ts';
import { count } from '../format.ts';
import { serverNow } from '../live.ts';
import { applyChanges, changesOf, differ, numberFields, typedOf, type FieldKey } from '../target_changes.ts';
import type { Target, TargetList } from '../types.ts';
import { Confirm, Notice } from '../widgets.tsx';

/** What saving would do, in a sentence. */
export function previewWords(preview: TargetsPreview): string {
  const number = (value: number) => value.toLocaleString('en');
  return `${count(preview.added.length, 'target')} more, ${number(preview.removed.length)} fewer, ${number(preview.changed.length)} changed, ${number(preview.kept)} as before; for ${count(preview.agents, 'agent')}. ${count(preview.pairs.after, 'pair')} of an agent and a target, now ${number(preview.pairs.before)}.`;
}

export function TargetEdit({ list, chosen, close, saved }: { list: TargetList; chosen: readonly Target[]; close: () => void; saved: (next: TargetList) => void }) {
  const first = typedOf(chosen);
  const [typed, setTyped] = useState(first);
  const [shown, setShown] = useState(false); // what is wrong: not before the first try
  const [error, setError] = useState('');
  const [preview, setPreview] = useState<TargetsPreview>();
  const [busy, setBusy] = useState(false);
  const one = chosen.length === 1;
  const { changes, wrong, any } = changesOf(chosen, typed, serverNow());
  const items = () => applyChanges(list.targets, new Set(chosen.map((target) => target.id)), changes);
  const attempt = async (what: () => Promise<void>) => {
    setShown(true);
    setError('');
    setPreview(undefined);
    if (Object.keys(wrong).length) return;
    setBusy(true);
    try {
      await what();
    } catch (cause) {
      setError(cause instanceof Problem && cause.status === 412 ? 'Nothing was saved: somebody else changed the list meanwhile. Close this, and edit it as it is now.' : `${message(cause)}. Nothing was saved.`.replace('..', '.'));
    }
    setBusy(false);
  };
  const look = () => attempt(async () => setPreview(await previewTargets(items())));
  const save = () => attempt(async () => saved(await putTargets(items(), list.revision)));
  const field = (key: FieldKey, label: string, props: { placeholder?: string; mono?: boolean; numeric?: boolean; time?: boolean; maxLength?: number; hint?: string }) => {
    const bad = shown ? wrong[key] : undefined;
    const about = [props.hint && `edit-${key}-hint`, bad && `edit-${key}-bad`].filter(Boolean).join(' ');
    const shared = {
      value: typed[key], 'aria-invalid': Boolean(bad), 'aria-describedby': about || undefined, 'data-testid': `edit-${key}`,
      onInput: (event: Event & { currentTarget: HTMLInputElement }) => {
        setTyped({ ...typed, [key]: event.currentTarget.value });
        setPreview(undefined);
        setError('');
      },
    };
    return (
      <label key={key}>{label}
        {props.time ? <input type="datetime-local" {...shared} /> : (
          <input type="text" class={props.mono ? 'mono' : ''} inputMode={props.numeric && one ? 'decimal' : 'text'} spellcheck={false} autocapitalize="none" autocomplete="off"
            maxLength={props.maxLength} placeholder={props.placeholder} {...shared} />
        )}
        {props.hint && <span class="hint" id={`edit-${key}-hint`}>{props.hint}</span>}
        {bad && <span class="field-error" id={`edit-${key}-bad`} role="alert">{bad}</span>}
      </label>
    );
  };
  return (
    <Confirm title={one ? `Settings of ${chosen[0]!.address}` : `Settings of ${count(chosen.length, 'target')}`} yes="Save" busy={busy || !any} onYes={save} onNo={close}>
      <form class="fields" onSubmit={(event) => { event.preventDefault(); if (any && !busy) void save(); }}>
        {!one && <p class="soft">What is left empty stays as it is for each of them.</p>}
        {one && field('name', 'Name', { maxLength: 64 })}
        <div class="pairs">
          {numberFields.map((number) => field(number.key, number.unit ? `${number.label} (${number.unit})` : number.label, {
            numeric: true, placeholder: differ(chosen, number) ? 'they differ' : number.optional ? 'default' : undefined, hint: number.optional ? `${one ? 'Empty' : '“default”'}: the server’s default` : undefined,
          }))}
        </div>
        {field('labels', one ? 'Labels' : 'Labels to set', { mono: true, placeholder: 'group=core, site=fra', hint: 'key=value, with commas between. Rules go by them.' })}
        {!one && field('unlabel', 'Labels to take off', { mono: true, placeholder: 'group, site' })}
        <label>Pause<select value={typed.pause} data-testid="edit-pause" onChange={(event) => { setTyped({ ...typed, pause: event.currentTarget.value }); setPreview(undefined); setError(''); }}>
          {first.pause === '' && <option value="">as it is for each</option>}
          <option value="no">{first.pause === 'no' ? 'not paused' : 'resume'}</option>
          <option value="yes">paused: nobody pings {one ? 'it' : 'them'}</option>
        </select></label>
        {typed.pause === 'yes' && <div class="pairs">
          {field('reason', 'Why', { maxLength: 64, placeholder: 'new line card' })}
          {field('until', 'Until', { time: true, hint: 'Empty: until somebody resumes it' })}
        </div>}
        <button type="submit" class="hidden" tabIndex={-1}>Save</button>
      </form>
      {error && <Notice kind="error">{error}</Notice>}
      {preview && <div data-testid="edit-preview"><Notice kind="info">Saving would do this: {previewWords(preview)}</Notice></div>}
      <button type="button" disabled={busy || !any} data-testid="edit-look" onClick={look}>Preview</button>
    </Confirm>
  );
}
