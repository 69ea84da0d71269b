// SPDX-License-Identifier: Apache-2.0
// What an agent says of its targets, beside samples: which it cannot measure and why, and what names are to it.
import { getNotes } from '../agents_api.ts';
import { count } from '../format.ts';
import { mesh, meshShape } from '../live.ts';
import { agentTitle, targetTitle } from '../model.ts';
import { usePolled } from '../polled.ts';
import type { Agent, TargetNote } from '../types.ts';
import { Confirm, Notice } from '../widgets.tsx';

const MOST = 500;

const refusals: Record<string, string> = {
  no_ipv4: 'its host has no IPv4',
  no_ipv6: 'its host has no IPv6',
  no_interface: 'its host has no interface of this name',
  no_source: 'its host does not have this source address',
  invalid: 'the target makes no sense to it',
  limit: 'it has enough others',
};
export const refusalWords = (reason: string): string => refusals[reason] ?? reason;

function Note({ note }: { note: TargetNote }) {
  const target = mesh.targets.find((one) => one.id === note.target);
  return (
    <li data-testid="note" data-target={target?.address} data-refused={note.refused}>
      <b>{target ? targetTitle(target) : `Target ${note.target}`}</b>{target?.name && <span class="mono soft"> {target.address}</span>}
      {note.address && <span class="block">is <span class="mono">{note.address}</span> to it</span>}
      {note.refused && <span class="block warn-text">not measured: {refusalWords(note.refused)}</span>}
    </li>
  );
}

export function AgentTargets({ agent, close }: { agent: Agent; close: () => void }) {
  meshShape.value;
  const { data, error } = usePolled(() => getNotes(agent), 5000);
  const notes = [...data ?? []].sort((a, b) => Number(Boolean(b.refused)) - Number(Boolean(a.refused)));
  return (
    <Confirm title={`What ${agentTitle(agent)} says of its targets`} onNo={close}>
      {error && <Notice kind="error">{error}</Notice>}
      {!data ? !error && <p class="soft" role="status">Loading…</p>
        : notes.length === 0 ? <p class="soft">Nothing: it measures all it has, and knows the address of none by a name.</p> : (
          <ul class="list-box" data-testid="notes" tabIndex={0} aria-label="Targets of which it says something">
            {notes.slice(0, MOST).map((note) => <Note key={note.target} note={note} />)}
            {notes.length > MOST && <li class="soft">and {count(notes.length - MOST, 'other')}</li>}
          </ul>
        )}
    </Confirm>
  );
}
