// SPDX-License-Identifier: Apache-2.0
// An agent's name and labels, to be changed by an administrator.
import { useState } from 'preact/hooks';
import { changeAgent } from '../agents_api.ts';
import { Problem, message } from '../api.ts';
import { formatLabels, parseLabels } from '../labels.tsx';
import type { Agent } from '../types.ts';
import { Confirm, Notice } from '../widgets.tsx';

export function AgentEdit({ agent, close }: { agent: Agent; close: (changed: boolean) => void }) {
  const [name, setName] = useState(agent.name);
  const [labels, setLabels] = useState(formatLabels(agent.labels));
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    setError('');
    try {
      await changeAgent(agent, { name: name.trim(), labels: parseLabels(labels) });
      close(true);
      return;
    } catch (cause) {
      setError(cause instanceof Problem && cause.status === 412 ? 'Somebody has changed this agent meanwhile: close this, and look again.' : message(cause));
    }
    setBusy(false);
  };
  return (
    <Confirm title={`Name and labels of ${agent.host_name}`} yes="Save" busy={busy} onYes={save} onNo={() => close(false)}>
      <form class="fields" onSubmit={(event) => { event.preventDefault(); void save(); }}>
        <label>Name<input type="text" maxLength={64} placeholder={agent.host_name} value={name} data-testid="agent-name" onInput={(event) => setName(event.currentTarget.value)} /></label>
        <label>Labels<input type="text" class="mono" spellcheck={false} autocapitalize="none" autocomplete="off" placeholder="group=core, site=fra" value={labels}
          aria-describedby="labels-help" data-testid="agent-labels" onInput={(event) => setLabels(event.currentTarget.value)} /></label>
        <p class="soft" id="labels-help">key=value, with commas between. <a href="#/rules">Rules</a> go by them. Without a name the host's own is shown.</p>
        <button type="submit" class="hidden" tabIndex={-1}>Save</button>
      </form>
      {error && <Notice kind="error">{error}</Notice>}
    </Confirm>
  );
}
