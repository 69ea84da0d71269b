// SPDX-License-Identifier: Apache-2.0
// What the server is set to: some of it is changed here, the rest says where.
import { useState } from 'preact/hooks';
import { Problem, message } from '../api.ts';
import { useDraft } from '../drafts.ts';
import { getProfile } from '../people_api.ts';
import { usePolled } from '../polled.ts';
import { getSettings, groups, losses, patchSettings, testMail, type Edits, type Group, type Setting, type Settings } from '../settings.ts';
import { Notice, Question } from '../widgets.tsx';

type Said = { kind: 'error' | 'good'; text: string };

function sourceWords(setting: Setting, file: string): string {
  if (setting.source === 'file') return `set in ${file}: change it there`;
  if (setting.source === 'option') return 'set by an option of meshpingd: change it there';
  if (!setting.changeable) return 'the default; set with others in the configuration’s file';
  if (setting.type === 'secret') return setting.set ? 'one is kept, sealed; it is never shown' : 'none';
  return setting.source === 'database' ? `set here; the default is ${setting.default || 'nothing'}` : 'the default';
}

interface FieldProps {
  field: Group['fields'][number];
  setting: Setting;
  file: string;
  edit: string | null | undefined;
  bad: string | undefined;
  put: (value: string | null | undefined) => void;
}

function Field({ field, setting, file, edit, bad, put }: FieldProps) {
  const id = `setting-${setting.name}`;
  const secret = setting.type === 'secret';
  const saved = setting.value ?? '';
  const value = edit === null ? setting.default ?? '' : edit ?? saved;
  const bounds = setting.least && setting.most ? `${setting.least} to ${setting.most}` : '';
  const hint = [bounds, field.example && `as ${field.example}`, edit === null ? (secret ? 'it is taken away when you save' : 'back to the default when you save') : sourceWords(setting, file)].filter(Boolean).join('; ');
  const shared = {
    id, name: setting.name, disabled: !setting.changeable, 'aria-invalid': Boolean(bad), 'aria-describedby': `${id}-hint${bad ? ` ${id}-bad` : ''}`,
  };
  const type = (text: string) => put(text === saved && edit !== null ? undefined : text);
  const resettable = setting.changeable && edit !== null && (secret ? setting.set && edit === undefined : setting.source === 'database');
  return (
    <div class="setting" data-testid={id} data-source={setting.source}>
      <label for={id}>{field.label}</label>
      <div class="setting-input">
        {field.options ? <select {...shared} value={value} onChange={(event) => type(event.currentTarget.value)}>{field.options.map((one) => <option key={one}>{one}</option>)}</select>
          : secret ? <input {...shared} type="password" autocomplete="new-password" maxLength={255} value={edit ?? ''} placeholder={setting.set && edit !== null ? 'type another one to replace it' : ''} onInput={(event) => put(event.currentTarget.value || undefined)} />
          : <input {...shared} type="text" inputMode={setting.type === 'number' ? 'numeric' : 'text'} spellcheck={false} autocapitalize="none" autocomplete="off" value={value} onInput={(event) => type(event.currentTarget.value)} />}
        {resettable && <button type="button" class="quiet" onClick={() => put(null)} aria-label={secret ? 'Take the password away' : `${field.label}: back to the default`}>{secret ? 'Take away' : 'Default'}</button>}
        {edit !== undefined && <button type="button" class="quiet" onClick={() => put(undefined)} aria-label={`${field.label}: undo`}>Undo</button>}
      </div>
      <p class="hint" id={`${id}-hint`}>{hint}. <code>{setting.name}</code></p>
      {bad && <p class="field-error" id={`${id}-bad`} role="alert">{bad}</p>}
    </div>
  );
}

function TestMail({ unsaved }: { unsaved: boolean }) {
  const { data: profile } = usePolled(getProfile, 0);
  const [to, setTo] = useState<string>();
  const [said, setSaid] = useState<Said>();
  const [busy, setBusy] = useState(false);
  const address = to ?? profile?.email ?? '';
  const send = async () => {
    setBusy(true);
    setSaid(undefined);
    try {
      await testMail(address.trim());
      setSaid({ kind: 'good', text: `The SMTP server took it for ${address.trim()}. Look whether it arrives.` });
    } catch (cause) {
      setSaid({ kind: 'error', text: message(cause) });
    }
    setBusy(false);
  };
  return (
    <div class="setting" data-testid="test-mail">
      <label for="test-mail-to">Send a test mail to</label>
      <div class="setting-input">
        <input id="test-mail-to" type="email" autocomplete="email" value={address} aria-describedby="test-mail-hint" onInput={(event) => setTo(event.currentTarget.value)} />
        <button type="button" disabled={busy || unsaved || !address.trim()} data-testid="test-mail-send" onClick={send}>{busy ? 'Sending…' : 'Send'}</button>
      </div>
      <p class="hint" id="test-mail-hint">{unsaved ? 'Save first: it goes by what is saved.' : 'By what is saved.'}</p>
      {said && <Notice kind={said.kind}>{said.text}</Notice>}
    </div>
  );
}

function Fixed({ settings, file }: { settings: Setting[]; file: string }) {
  return (
    <section class="panel" aria-labelledby="fixed-title">
      <header class="panel-head"><h2 id="fixed-title">Set where the server runs</h2><p class="soft">{file ? `In ${file} or by options` : 'By options, or in a file with --config'}; with a restart</p></header>
      <div class="table-wrap" tabIndex={0} role="group" aria-labelledby="fixed-title">
        <table class="stack">
          <thead><tr><th scope="col">Setting</th><th scope="col">Value</th><th scope="col">From</th><th scope="col">What</th></tr></thead>
          <tbody>{settings.map((one) => (
            <tr key={one.name} data-testid={`fixed-${one.name}`}>
              <td><code>{one.name}</code></td><td class="mono wrap" data-label="Value">{one.value || 'nothing'}</td><td data-label="From">{one.source === 'file' ? 'the file' : one.source === 'option' ? 'an option' : 'the default'}</td><td>{one.help}</td>
            </tr>
          ))}</tbody>
        </table>
      </div>
    </section>
  );
}

function Form({ data, put }: { data: Settings; put: (data: Settings) => void }) {
  const [draft, setDraft] = useDraft<Edits>('settings');
  const edits = draft?.value ?? {};
  const begun = draft?.revision ?? data.revision; // what the edits began with
  const [wrong, setWrong] = useState<{ name: string; text: string }>();
  const [said, setSaid] = useState<Said>();
  const [asking, setAsking] = useState<string[]>();
  const [busy, setBusy] = useState(false);
  const known = new Map(data.settings.map((setting) => [setting.name, setting]));
  const shown = new Set(groups.flatMap((group) => group.fields.map((field) => field.name)));
  const changed = Object.keys(edits).length;
  const edit = (name: string, value: string | null | undefined) => {
    const { [name]: _, ...rest } = edits;
    const next = value === undefined ? rest : { ...rest, [name]: value };
    setDraft(Object.keys(next).length ? { value: next, revision: begun } : undefined);
    setSaid(undefined);
    if (wrong?.name === name) setWrong(undefined);
  };
  const save = async () => {
    setBusy(true);
    setWrong(undefined);
    setSaid(undefined);
    try {
      put(await patchSettings(edits, begun));
      setDraft(undefined);
      setSaid({ kind: 'good', text: 'Saved, and in force.' });
    } catch (cause) {
      const name = cause instanceof Problem ? cause.fields['setting'] : undefined;
      if (cause instanceof Problem && cause.status === 412) {
        const now = await getSettings().catch(() => data);
        put(now);
        setDraft({ value: edits, revision: now.revision });
        setSaid({ kind: 'error', text: 'Somebody else changed the settings meanwhile. They are loaded, and what you typed is still there: look, and save again.' });
      } else if (typeof name === 'string' && shown.has(name)) {
        setWrong({ name, text: message(cause) });
        setSaid({ kind: 'error', text: `Nothing was saved. ${message(cause)}` });
        document.getElementById(`setting-${name}`)?.focus();
      } else {
        setSaid({ kind: 'error', text: `Nothing was saved. ${message(cause)}` });
      }
    }
    setBusy(false);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    const less = losses(data.settings, edits);
    if (less.length) setAsking(less);
    else void save();
  };
  return (
    <>
      <form class="settings" onSubmit={submit} aria-labelledby="settings-title">
        {groups.map((group) => (
          <section key={group.key} class="panel pad" aria-labelledby={`group-${group.key}`}>
            <h2 id={`group-${group.key}`}>{group.title}</h2>
            {group.words && <p class="soft">{group.words}</p>}
            {group.fields.map((field) => {
              const setting = known.get(field.name);
              return setting && <Field key={field.name} field={field} setting={setting} file={data.file} edit={edits[field.name]} bad={wrong?.name === field.name ? wrong.text : undefined} put={(value) => edit(field.name, value)} />;
            })}
            {group.key === 'mail' && <TestMail unsaved={group.fields.some((field) => field.name in edits)} />}
          </section>
        ))}
        <div class="save-bar" data-testid="save-bar">
          {said && <Notice kind={said.kind}>{said.text}</Notice>}
          <div class="actions">
            <button type="button" disabled={!changed || busy} onClick={() => { setDraft(undefined); setWrong(undefined); setSaid(undefined); }}>Undo all</button>
            <button type="submit" class="primary" disabled={!changed || busy} data-testid="save-settings">{changed ? `Save ${changed}` : 'Save'}</button>
          </div>
        </div>
      </form>
      <Fixed settings={data.settings.filter((setting) => !shown.has(setting.name))} file={data.file} />
      {asking && (
        <Question title="Keep less?" yes="Keep less" danger run={save} close={() => setAsking(undefined)}>
          <p>What is older than the new limits, or does not fit, is deleted within seconds, for good:</p>
          <ul class="bullets">{asking.map((label) => <li key={label}>{label}</li>)}</ul>
        </Question>
      )}
    </>
  );
}

export function SettingsPage() {
  const { data, error, put } = usePolled(getSettings, 5000);
  return (
    <>
      <div class="page-head"><h1 id="settings-title">Settings</h1></div>
      {error && <Notice kind="error">{error}</Notice>}
      {data ? <Form data={data} put={put} /> : !error && <p class="soft" role="status">Loading…</p>}
    </>
  );
}
