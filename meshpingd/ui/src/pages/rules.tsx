// SPDX-License-Identifier: Apache-2.0
// Which agents ping what: rules of selectors over labels, and meshes.
import { useState } from 'preact/hooks';
import { Problem, getRules, may, message, previewRules, putRules, type RulesPreview } from '../api.ts';
import { useDraft } from '../drafts.ts';
import { count } from '../format.ts';
import { usePolled } from '../polled.ts';
import type { Rule, RuleList } from '../types.ts';
import { Notice } from '../widgets.tsx';

const kinds: Record<Rule['kind'], string> = { targets: 'Agents ping targets', mesh: 'Agents ping each other' };

function Selector({ label, value, disabled, bad, change, testid }: {
  label: string; value: string; disabled: boolean; bad: boolean; change: (value: string) => void; testid: string;
}) {
  return (
    <label>{label}
      <input type="text" class="mono" spellcheck={false} autocapitalize="none" autocomplete="off" maxLength={511} placeholder="all" value={value} disabled={disabled}
        aria-invalid={bad} aria-describedby="selector-help" data-testid={testid} onInput={(event) => change(event.currentTarget.value)} />
    </label>
  );
}

function RuleFields({ rule, number, bad, change, remove }: {
  rule: Rule; number: number; bad: string; change: (rule: Rule) => void; remove: () => void;
}) {
  const locked = !may('operator');
  return (
    <fieldset class={`panel pad rule ${bad ? 'bad' : ''}`} data-testid="rule" disabled={locked}>
      <legend>Rule {number}</legend>
      <label>Name<input type="text" maxLength={64} value={rule.name} data-testid="rule-name" onInput={(event) => change({ ...rule, name: event.currentTarget.value })} /></label>
      <label>What<select value={rule.kind} data-testid="rule-kind" onChange={(event) => change({ ...rule, kind: event.currentTarget.value as Rule['kind'], targets: '' })}>
        {Object.entries(kinds).map(([kind, words]) => <option key={kind} value={kind}>{words}</option>)}
      </select></label>
      <Selector label={rule.kind === 'mesh' ? 'Agents of the mesh' : 'These agents'} value={rule.agents} disabled={locked} bad={bad.includes('agents:')} testid="rule-agents" change={(agents) => change({ ...rule, agents })} />
      {rule.kind === 'mesh' ? <p class="soft mesh-words">Each of them pings all others, at the address that it advertises or comes from.</p>
        : <Selector label="ping these targets" value={rule.targets} disabled={locked} bad={bad.includes('targets:')} testid="rule-targets" change={(targets) => change({ ...rule, targets })} />}
      {!locked && <button type="button" aria-label={`Remove rule ${number}`} onClick={remove}>Remove</button>}
      {bad && <div class="full"><Notice kind="error">{bad}. Nothing was saved.</Notice></div>}
    </fieldset>
  );
}

function Preview({ preview }: { preview: RulesPreview }) {
  const { pairs, agents } = preview;
  return (
    <div data-testid="rules-preview"><Notice kind="info">
      {count(pairs.after, 'pair')} would be pinged, now it is {pairs.before.toLocaleString('en')}: {pairs.added.toLocaleString('en')} more, {pairs.removed.toLocaleString('en')} fewer.
      {' '}{agents ? `${count(agents, 'agent')} would get another list.` : 'No agent would get another list.'}
    </Notice></div>
  );
}

const same = (a: Rule[], b: Rule[]): boolean => JSON.stringify(a) === JSON.stringify(b);
const plain = ({ name, kind, agents, targets }: Rule): Rule => ({ name, kind, agents, targets });

function useRules() {
  const { data: saved, error, put, reload } = usePolled<RuleList>(getRules, 5000);
  const [draft, setDraft] = useDraft<Rule[]>('rules');
  const [said, setSaid] = useState<{ kind: 'error' | 'good' | 'warn'; text: string; index?: number }>();
  const [preview, setPreview] = useState<RulesPreview>();
  const [busy, setBusy] = useState(false);
  const there = (saved?.rules ?? []).map(plain);
  const rules = draft?.value ?? there;
  const dirty = draft !== undefined;
  const begun = draft?.revision ?? saved?.revision ?? 0; // what the edits began with
  const behind = dirty && saved !== undefined && saved.revision !== begun;
  const edit = (next: Rule[] | undefined) => {
    setDraft(next && !(same(next, there) && !behind) ? { value: next, revision: begun } : undefined);
    setSaid(undefined);
    setPreview(undefined);
  };
  const attempt = async (what: () => Promise<void>) => {
    setBusy(true);
    setSaid(undefined);
    setPreview(undefined);
    await what().catch((cause) => {
      const index = cause instanceof Problem ? cause.fields['index'] : undefined;
      if (cause instanceof Problem && cause.status === 412) {
        setSaid({ kind: 'warn', text: 'Nothing was saved: somebody else changed the rules meanwhile. Yours are kept.' });
        reload();
      } else setSaid({ kind: 'error', text: message(cause), ...(typeof index === 'number' && { index }) });
    });
    setBusy(false);
  };
  const look = () => attempt(async () => setPreview(await previewRules(rules)));
  const save = () => attempt(async () => {
    put(await putRules(rules, begun));
    setDraft(undefined);
    setSaid({ kind: 'good', text: 'Saved. The agents get what changes for them now.' });
  });
  const keep = () => {
    setDraft({ value: rules, revision: saved!.revision });
    void look();
  };
  return { saved, error, rules, dirty, behind, said, preview, busy, edit, keep, look, save };
}

export function RulesPage() {
  const { saved, error, rules, dirty, behind, said, preview, busy, edit, keep, look, save } = useRules();
  if (!saved) return <>{error ? <Notice kind="error">{error}</Notice> : <p class="soft" role="status">Loading…</p>}</>;
  const operator = may('operator');
  return (
    <>
      <div class="page-head"><h1>Rules: who pings what</h1></div>
      <p class="soft" id="selector-help">A selector chooses by labels: <code>site=fra</code>, <code>tier!=lab</code>, <code>site in (fra, ber)</code>, <code>tier notin (lab)</code>, <code>group</code> (has one), <code>!group</code> (has none). All of its parts, with commas between, must hold; empty chooses all. What several rules say adds up.</p>
      <form class="rules" onSubmit={(event) => { event.preventDefault(); void save(); }}>
        {rules.length === 0 && <p class="panel empty">No rule: no agent pings anything.</p>}
        {rules.map((rule, index) => (
          <RuleFields key={index} rule={rule} number={index + 1} bad={said?.index === index ? said.text : ''}
            change={(next) => edit(rules.map((old, at) => (at === index ? next : old)))} remove={() => edit(rules.filter((_, at) => at !== index))} />
        ))}
        {said && said.index === undefined && <Notice kind={said.kind}>{said.text}</Notice>}
        {behind && !busy && (
          <Notice kind="warn">Somebody else has changed the rules since you began.
            {' '}<button type="button" class="link" data-testid="drop-edits" onClick={() => edit(undefined)}>Drop your edits</button> and see them, or
            {' '}<button type="button" class="link" data-testid="keep-edits" onClick={keep}>go on with yours</button>: then saving puts yours in their place.</Notice>
        )}
        {preview && <Preview preview={preview} />}
        {operator && (
          <div class="actions start">
            <button type="button" disabled={busy || rules.length >= saved.limit} data-testid="add-rule" onClick={() => edit([...rules, { name: '', kind: 'targets', agents: '', targets: '' }])}>Add a rule</button>
            <button type="submit" class="primary" disabled={!dirty || busy} data-testid="save-rules">Save</button>
            <button type="button" disabled={!dirty || busy} data-testid="preview-rules" onClick={look}>Preview</button>
            <button type="button" disabled={!dirty || busy} onClick={() => edit(undefined)}>Undo edits</button>
            {dirty && <span class="soft">not saved</span>}
          </div>
        )}
      </form>
    </>
  );
}
