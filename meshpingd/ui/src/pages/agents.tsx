// SPDX-License-Identifier: Apache-2.0
// Agents by status, and what an administrator may do with each.
import { useState } from 'preact/hooks';
import { ActionDialog, AddressesDialog, BulkDialog, RekeyDialog, addressesOf, verbOf } from '../agent_dialogs.tsx';
import { getAgents, getBlocked, putBlocked } from '../agents_api.ts';
import { may, message } from '../api.ts';
import { ago, bytes, count, dateTime, offset } from '../format.ts';
import { mesh, meshShape, serverNow } from '../live.ts';
import { LabelTags, formatLabels } from '../labels.tsx';
import { agentTitle } from '../model.ts';
import { usePolled } from '../polled.ts';
import type { Agent, AgentAction, AgentState } from '../types.ts';
import { Notice } from '../widgets.tsx';
import { AgentEdit } from './agent_edit.tsx';
import { AgentTargets } from './agent_targets.tsx';

const groups: { state: AgentState; title: string; words: string }[] = [
  { state: 'pending', title: 'Pending', words: 'They proved a passphrase and wait for you. Compare the fingerprint with the one the agent prints.' },
  { state: 'hold', title: 'On hold', words: 'They go on with the targets they have; what they send is kept apart until you decide.' },
  { state: 'approved', title: 'Approved', words: '' },
  { state: 'blacklisted', title: 'Rejected', words: 'They are refused. Reinstating makes one pending again.' },
];

const actions: Record<AgentState, AgentAction[]> = {
  pending: ['approve', 'reject'],
  hold: ['approve', 'reject'],
  approved: ['hold', 'reject'],
  blacklisted: ['reinstate'],
};

type Asked = { agent: Agent; what: AgentAction | 'addresses' | 'edit' | 'rekey' | 'targets' } | { agents: Agent[] };

/** Pending agents that are ticked, to be approved at once. */
interface Choice {
  has: (agent: Agent) => boolean;
  toggle: (agent: Agent) => void;
}

function Delivery({ agent, ask }: { agent: Agent; ask: (asked: Asked) => void }) {
  return (
    <>
      {agent.buffered_samples.toLocaleString('en')} kept
      {agent.dropped_samples > 0 && <div class="warn-text" title="Told as gaps: connection trouble with the agent">{agent.dropped_samples.toLocaleString('en')} dropped</div>}
      {agent.quarantine_bytes > 0 && <div class="warn-text" title="What it sent on hold, until you decide">{bytes(agent.quarantine_bytes)} in quarantine</div>}
      {agent.online && agent.refused_targets > 0 && <div class="warn-text" data-testid="refused-targets">{count(agent.refused_targets, 'target')} not measurable</div>}
      {agent.online && agent.load && <div class="soft" data-testid="load" title="Of one processor, by the agent itself; and its host's load of the last minute">CPU {(agent.load.cpu_permille / 10).toFixed(1)} %, load {(agent.load.load_permille / 1000).toFixed(2)}</div>}
      {agent.online && agent.load && agent.load.late_probes + agent.load.overloaded > 0 && (
        <div class="soft" title="Since its start: sent over 100 ms late; samples that it could not vouch for">{agent.load.late_probes.toLocaleString('en')} late, {agent.load.overloaded.toLocaleString('en')} overloaded</div>
      )}
      <button type="button" class="link" data-testid="agent-targets" onClick={() => ask({ agent, what: 'targets' })} aria-label={`What ${agentTitle(agent)} says of its targets`}>Its targets</button>
    </>
  );
}

function AgentRow({ agent, ask, choice }: { agent: Agent; ask: (asked: Asked) => void; choice: Choice | undefined }) {
  const pending = agent.state === 'pending';
  const editable = agent.state === 'approved' || agent.state === 'hold';
  return (
    <tr data-testid="agent" data-agent={agent.host_name} data-agent-id={agent.id} data-state={agent.state} data-online={agent.online}>
      <td class="long">
        {choice ? <label class="check"><input type="checkbox" checked={choice.has(agent)} onChange={() => choice.toggle(agent)} aria-label={`Select ${agentTitle(agent)}`} /><b>{agentTitle(agent)}</b></label> : <b>{agentTitle(agent)}</b>}
        {agent.name && <span class="soft"> {agent.host_name}</span>}
        {agent.same_host_name && <span class="tag warn" title="Another agent has the same host name">same name</span>}
        {agent.reason && <div class="soft">{agent.reason}</div>}
        <LabelTags labels={agent.labels} />
      </td>
      <td data-label="Presence"><span class={`presence ${agent.online ? 'on' : 'off'}`}><i aria-hidden="true" />{agent.online ? 'online' : 'offline'}</span>
        {!agent.online && <div class="soft nowrap">seen {ago(agent.last_seen_ms, serverNow())}</div>}</td>
      <td class="mono" data-label="Address">{addressesOf(agent)}
        {editable && agent.approved_addresses !== agent.observed_address && <div class="soft ranges" title="It may come from these ranges">may come from {agent.approved_addresses}</div>}</td>
      <td class="mono fingerprint" data-label="Fingerprint">{agent.fingerprint}</td>
      <td class="nowrap" data-label="Version">{pending ? <>{agent.version}<div class="soft">since {dateTime(agent.first_seen_ms)}</div></> : agent.version}</td>
      <td class="nowrap" data-label="Buffer">{pending ? '–' : <Delivery agent={agent} ask={ask} />}</td>
      <td class="nowrap" data-label="Clock" data-testid="clock">{agent.clock_offset_us === null ? '–' : <>
        <span class={agent.clock_skewed ? 'warn-text' : ''}>{offset(agent.clock_offset_us)}</span>
        <div class="soft">± {offset(agent.clock_error_us ?? 0).slice(1)}</div></>}</td>
      <td class="row-actions">
        {may('admin') && agent.state !== 'blacklisted' && <button type="button" data-testid="edit" aria-label={`Edit ${agentTitle(agent)}`} onClick={() => ask({ agent, what: 'edit' })}>Edit</button>}
        {may('admin') && actions[agent.state].map((action) => (
          <button key={action} type="button" class={action === 'approve' ? 'primary' : ''} data-testid={action} onClick={() => ask({ agent, what: action })}
            aria-label={`${verbOf(action)} ${agent.host_name}`}>{verbOf(action)}</button>
        ))}
        {may('admin') && editable && <button type="button" data-testid="addresses" onClick={() => ask({ agent, what: 'addresses' })} aria-label={`Addresses of ${agent.host_name}`}>Addresses</button>}
        {may('admin') && agent.state === 'approved' && <button type="button" data-testid="rekey" onClick={() => ask({ agent, what: 'rekey' })} aria-label={`New key for ${agent.host_name}`}>New key</button>}
      </td>
    </tr>
  );
}

const AT_ONCE = 256; // as many as a request may name
const PAGE = 100;

function Group({ state, title, words, members, ask }: { state: AgentState; title: string; words: string; members: Agent[]; ask: (asked: Asked) => void }) {
  const [chosen, setChosen] = useState(new Set<string>());
  const [limit, setLimit] = useState(PAGE);
  const many = state === 'pending' && members.length > 1 && may('admin');
  const ticked = members.filter((agent) => chosen.has(agent.id));
  const choice: Choice | undefined = many ? {
    has: (agent) => chosen.has(agent.id),
    toggle: (agent) => setChosen((old) => new Set(old.has(agent.id) ? [...old].filter((id) => id !== agent.id) : [...old, agent.id])),
  } : undefined;
  return (
    <section class={`panel group-${state}`} aria-labelledby={`group-${state}`}>
      <header class="panel-head">
        <h2 id={`group-${state}`}>{title} <span class="count">{members.length.toLocaleString('en')}</span></h2>
        {words ? <p class="soft">{words}</p> : <p class="soft">{count(members.filter((agent) => agent.online).length, 'agent')} online</p>}
        {many && (
          <div class="actions start full">
            <button type="button" class="quiet" onClick={() => setChosen(new Set(ticked.length === members.length ? [] : members.map((agent) => agent.id)))}>{ticked.length === members.length ? 'Select none' : 'Select all'}</button>
            <button type="button" class="primary" disabled={!ticked.length} data-testid="approve-selected" onClick={() => ask({ agents: ticked.slice(0, AT_ONCE) })}>{ticked.length > AT_ONCE ? `Approve the first ${AT_ONCE} of ${ticked.length}` : `Approve ${ticked.length || 'the selected ones'}`}</button>
          </div>
        )}
      </header>
      <div class="table-wrap" tabIndex={0} role="group" aria-labelledby={`group-${state}`}>
        <table class="stack">
          <thead><tr><th scope="col">Host</th><th scope="col">Presence</th><th scope="col">Address</th><th scope="col">Fingerprint</th><th scope="col">Version</th><th scope="col">Buffer</th><th scope="col">Clock</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
          <tbody>{members.slice(0, limit).map((agent) => <AgentRow key={agent.id} agent={agent} ask={ask} choice={choice} />)}</tbody>
        </table>
      </div>
      {members.length > limit && <p class="more"><button type="button" onClick={() => setLimit(limit + PAGE)}>Show more ({(members.length - limit).toLocaleString('en')} left)</button></p>}
    </section>
  );
}

/** What a filter looks at: all by which people know an agent. */
const textOf = (agent: Agent): string =>
  `${agent.host_name} ${agent.name} ${agent.observed_address} ${agent.reported_address} ${agent.fingerprint} ${agent.version} ${formatLabels(agent.labels)}`.toLowerCase();

/** Addresses that no agent may come from. */
function Blocked() {
  const { data, error, put, reload } = usePolled(getBlocked, 0);
  const [text, setText] = useState<string>();
  const [failed, setFailed] = useState('');
  const [busy, setBusy] = useState(false);
  const now = text ?? data ?? '';
  const save = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setFailed('');
    try {
      put(await putBlocked(now.trim()));
      setText(undefined);
    } catch (cause) {
      setFailed(message(cause));
    }
    setBusy(false);
  };
  return (
    <details class="panel pad" onToggle={(event) => event.currentTarget.open && text === undefined && reload()}>
      <summary>Blocked addresses</summary>
      <form class="blocked" data-testid="blocked-form" onSubmit={save}>
        <label>No agent may connect from these addresses and networks
          <input class="mono" value={now} disabled={data === undefined} spellcheck={false} autocapitalize="none" autocomplete="off" placeholder="none" data-testid="blocked" onInput={(event) => setText(event.currentTarget.value)} /></label>
        <button type="submit" disabled={busy || text === undefined || text.trim() === data}>Save</button>
      </form>
      {(failed || error) && <Notice kind="error">{failed || error}</Notice>}
    </details>
  );
}

export function AgentsPage() {
  const shape = meshShape.value; // a snapshot says that agents changed
  const { data: agents, error, reload } = usePolled(getAgents, 3000, [shape]);
  const [asked, setAsked] = useState<Asked>();
  const [told, setTold] = useState('');
  const [filter, setFilter] = useState('');
  const all = agents ?? (shape ? mesh.agents : undefined);
  const needle = filter.trim().toLowerCase();
  const shown = needle ? all?.filter((agent) => textOf(agent).includes(needle)) : all;
  const ask = (next: Asked) => {
    setTold('');
    setAsked(next);
  };
  const close = () => setAsked(undefined);
  const done = (what: string) => {
    setTold(what);
    reload();
  };
  return (
    <>
      <div class="page-head">
        <h1>Agents</h1>
        <div class="filters">
          <input type="search" aria-label="Filter agents" placeholder="Filter" value={filter} onInput={(event) => setFilter(event.currentTarget.value)} />
          {may('admin') && <a class="button" href="#/add">Add an agent</a>}
        </div>
      </div>
      {error && <Notice kind="error">The agents could not be loaded: {error}</Notice>}
      {told && <Notice kind="good">{told}</Notice>}
      {!all || !shown ? <p class="soft" role="status">Loading…</p> : shown.length === 0 && all.length > 0 ? <p class="panel empty" role="status">No agent fits the filter.</p> : shown.length === 0 ? (
        <p class="panel empty">No agent has joined yet. {may('admin') ? <><a href="#/add">Add an agent</a>: it takes a passphrase and one command on the other host.</> : 'An administrator adds agents.'}</p>
      ) : groups.map((group) => {
        const members = shown.filter((agent) => agent.state === group.state);
        return members.length ? <Group key={group.state} {...group} members={members} ask={ask} /> : null;
      })}
      {may('admin') && <Blocked />}
      {asked && ('agents' in asked ? <BulkDialog agents={asked.agents} done={done} close={close} />
        : asked.what === 'edit' ? <AgentEdit agent={asked.agent} close={(changed) => { close(); if (changed) reload(); }} />
        : asked.what === 'targets' ? <AgentTargets agent={asked.agent} close={close} />
        : asked.what === 'rekey' ? <RekeyDialog agent={asked.agent} done={done} close={close} />
        : asked.what === 'addresses' ? <AddressesDialog agent={asked.agent} done={done} close={close} />
          : <ActionDialog agent={asked.agent} action={asked.what} all={all ?? []} done={done} close={close} />)}
    </>
  );
}
