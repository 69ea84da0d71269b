// SPDX-License-Identifier: Apache-2.0
// Agents by status, and what an administrator may do with each.
import { useState } from 'preact/hooks';
import { actOnAgent, getAgents, may, message } from '../api.ts';
import { ago, count, dateTime, offset } from '../format.ts';
import { mesh, meshShape, serverNow } from '../live.ts';
import { usePolled } from '../polled.ts';
import type { Agent, AgentAction, AgentState } from '../types.ts';
import { Confirm, Notice } from '../widgets.tsx';

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

const actionWords: Record<AgentAction, { verb: string; title: string; danger: boolean }> = {
  approve: { verb: 'Approve', title: 'Approve this agent?', danger: false },
  reject: { verb: 'Reject', title: 'Reject this agent?', danger: true },
  hold: { verb: 'Hold', title: 'Put this agent on hold?', danger: true },
  reinstate: { verb: 'Reinstate', title: 'Let this agent ask again?', danger: false },
};

function addresses(agent: Agent): string {
  const { observed_address: seen, reported_address: said } = agent;
  return said && said !== seen ? `${seen} (says ${said})` : seen;
}

function AgentRow({ agent, ask }: { agent: Agent; ask: (agent: Agent, action: AgentAction) => void }) {
  const pending = agent.state === 'pending';
  return (
    <tr data-testid="agent" data-agent={agent.host_name} data-agent-id={agent.id} data-state={agent.state} data-online={agent.online}>
      <td>
        <b>{agent.host_name}</b>
        {agent.same_host_name && <span class="tag warn" title="Another agent has the same host name">same name</span>}
        {agent.reason && <div class="soft">{agent.reason}</div>}
      </td>
      <td data-label="Presence"><span class={`presence ${agent.online ? 'on' : 'off'}`}><i aria-hidden="true" />{agent.online ? 'online' : 'offline'}</span>
        {!agent.online && <div class="soft nowrap">seen {ago(agent.last_seen_ms, serverNow())}</div>}</td>
      <td class="mono" data-label="Address">{addresses(agent)}</td>
      <td class="mono fingerprint" data-label="Fingerprint">{agent.fingerprint}</td>
      <td class="nowrap" data-label="Version">{pending ? <>{agent.version}<div class="soft">since {dateTime(agent.first_seen_ms)}</div></> : agent.version}</td>
      <td class="nowrap" data-label="Buffer">{pending ? '–' : <>{agent.buffered_samples.toLocaleString('en')} kept
        {agent.dropped_samples > 0 && <div class="warn-text">{agent.dropped_samples.toLocaleString('en')} dropped</div>}</>}</td>
      <td class="nowrap" data-label="Clock" data-testid="clock">{agent.clock_offset_us === null ? '–' : <>
        <span class={agent.clock_skewed ? 'warn-text' : ''}>{offset(agent.clock_offset_us)}</span>
        <div class="soft">± {offset(agent.clock_error_us ?? 0).slice(1)}</div></>}</td>
      <td class="row-actions">
        {may('admin') && actions[agent.state].map((action) => (
          <button key={action} type="button" class={action === 'approve' ? 'primary' : ''} data-testid={action} onClick={() => ask(agent, action)}
            aria-label={`${actionWords[action].verb} ${agent.host_name}`}>{actionWords[action].verb}</button>
        ))}
      </td>
    </tr>
  );
}

export function AgentsPage() {
  const shape = meshShape.value; // a snapshot says that agents changed
  const { data: agents, error, reload } = usePolled(getAgents, 3000, [shape]);
  const [asked, setAsked] = useState<{ agent: Agent; action: AgentAction }>();
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState('');
  const shown = agents ?? (shape ? mesh.agents : undefined);

  const act = async () => {
    if (!asked) return;
    setBusy(true);
    setFailed('');
    try {
      await actOnAgent(asked.agent, asked.action);
    } catch (cause) {
      setFailed(`${actionWords[asked.action].verb} ${asked.agent.host_name}: ${message(cause)}`);
    }
    setBusy(false);
    setAsked(undefined);
    reload();
  };

  return (
    <>
      <div class="page-head">
        <h1>Agents</h1>
        {may('admin') && <a class="button" href="#/add">Add an agent</a>}
      </div>
      {error && <Notice kind="error">The agents could not be loaded: {error}</Notice>}
      {failed && <Notice kind="error">{failed}</Notice>}
      {!shown ? <p class="soft" role="status">Loading…</p> : shown.length === 0 ? (
        <p class="panel empty">No agent has joined yet. {may('admin') ? <><a href="#/add">Add an agent</a>: it takes a passphrase and one command on the other host.</> : 'An administrator adds agents.'}</p>
      ) : groups.map(({ state, title, words }) => {
        const members = shown.filter((agent) => agent.state === state);
        if (!members.length) return null;
        return (
          <section key={state} class={`panel group-${state}`} aria-labelledby={`group-${state}`}>
            <header class="panel-head">
              <h2 id={`group-${state}`}>{title} <span class="count">{members.length}</span></h2>
              {words ? <p class="soft">{words}</p> : <p class="soft">{count(members.filter((agent) => agent.online).length, 'agent')} online</p>}
            </header>
            <div class="table-wrap" tabIndex={0} role="group" aria-labelledby={`group-${state}`}>
              <table class="stack">
                <thead><tr><th scope="col">Host</th><th scope="col">Presence</th><th scope="col">Address</th><th scope="col">Fingerprint</th><th scope="col">Version</th><th scope="col">Buffer</th><th scope="col">Clock</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
                <tbody>{members.map((agent) => <AgentRow key={agent.id} agent={agent} ask={(of, action) => { setFailed(''); setAsked({ agent: of, action }); }} />)}</tbody>
              </table>
            </div>
          </section>
        );
      })}
      {asked && (
        <Confirm title={actionWords[asked.action].title} yes={actionWords[asked.action].verb} danger={actionWords[asked.action].danger} busy={busy} onYes={act} onNo={() => setAsked(undefined)}>
          <dl class="facts wide">
            <div><dt>Host</dt><dd>{asked.agent.host_name}</dd></div>
            <div><dt>Address</dt><dd class="mono">{addresses(asked.agent)}</dd></div>
            <div><dt>Fingerprint</dt><dd class="mono fingerprint">{asked.agent.fingerprint}</dd></div>
          </dl>
          {asked.action === 'approve' && <p>It must be the fingerprint that the agent itself prints. Approved, it gets the targets and its samples count.</p>}
          {asked.action === 'reject' && <p>It is disconnected and refused from now on, until you reinstate it.</p>}
          {asked.action === 'hold' && <p>It keeps pinging the targets it has and gets no new ones, until you approve it again.</p>}
          {asked.action === 'reinstate' && <p>It becomes pending again, and may then be approved.</p>}
        </Confirm>
      )}
    </>
  );
}
