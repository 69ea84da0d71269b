// SPDX-License-Identifier: Apache-2.0
// The list of targets out to a file, and in from one: looked at before it replaces what is there.
import { useState } from 'preact/hooks';
import { Problem, may, message, previewTargets, putTargets, type TargetsPreview } from '../api.ts';
import { targetsFromFile, targetsToCsv, targetsToJson, type ImportedTargets } from '../targets_file.ts';
import type { TargetList } from '../types.ts';
import { Confirm, Notice } from '../widgets.tsx';
import { previewWords } from './target_edit.tsx';

function download(name: string, type: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** With the line of the file, or the entry where lines do not matter, where the server names a target. */
function reason(cause: unknown, lines: number[]): string {
  const index = cause instanceof Problem ? cause.fields['index'] : undefined;
  const place = typeof index !== 'number' ? '' : lines[index] === undefined ? `Entry ${index + 1}: ` : `Line ${lines[index]}: `;
  return `${place}${message(cause)}. Nothing was saved.`.replace('..', '.');
}

interface Chosen extends ImportedTargets {
  name: string;
  preview: TargetsPreview;
  /** Of the list that it was compared with. */
  revision: number;
}

export function TargetsFile({ list, locked, saved }: { list: TargetList; locked: boolean; saved: (next: TargetList) => void }) {
  const [chosen, setChosen] = useState<Chosen>();
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const take = async (event: Event & { currentTarget: HTMLInputElement }) => {
    const input = event.currentTarget, file = input.files?.[0];
    if (!file) return;
    setError('');
    let lines: number[] = [];
    try {
      const found = targetsFromFile(await file.text());
      lines = found.lines;
      setChosen({ ...found, name: file.name, revision: list.revision, preview: await previewTargets(found.items) });
    } catch (cause) {
      setError(`${file.name}: ${reason(cause, lines)}`);
    }
    input.value = ''; // so that the same file, mended, is taken again
  };
  const save = async () => {
    setBusy(true);
    setError('');
    try {
      saved(await putTargets(chosen!.items, chosen!.revision));
      setChosen(undefined);
    } catch (cause) {
      setError(reason(cause, chosen!.lines));
      setChosen(undefined);
    }
    setBusy(false);
  };
  return (
    <section class="panel pad" aria-labelledby="file-title">
      <h2 id="file-title">As a file</h2>
      <div class="actions start">
        <button type="button" data-testid="export-csv" onClick={() => download('targets.csv', 'text/csv', targetsToCsv(list.targets))}>Export CSV</button>
        <button type="button" data-testid="export-json" onClick={() => download('targets.json', 'application/json', targetsToJson(list.targets))}>Export JSON</button>
        {may('operator') && <label class="file">Import CSV or JSON<input type="file" accept=".csv,.json,text/csv,application/json" disabled={locked} data-testid="import" onChange={take} /></label>}
      </div>
      {error && <Notice kind="error">{error}</Notice>}
      {chosen && (
        <Confirm title={`Replace the list by ${chosen.name}?`} yes="Replace" danger={chosen.preview.removed.length > 0} busy={busy} onYes={save} onNo={() => setChosen(undefined)}>
          <p data-testid="import-preview">{previewWords(chosen.preview)}</p>
          <p class="soft">What the file leaves out of a target is set to the default.</p>
        </Confirm>
      )}
    </section>
  );
}
