// SPDX-License-Identifier: Apache-2.0
// The questions before an administrator decides about agents; each runs its own request and closes when it was done.
import { useEffect, useState } from 'preact/hooks';
import { actOnAgent, approveAgents, getQuarantine, putAddresses, rekeyAgent, type BulkResult, type Decision } from './agents_api.ts';
import { message } from './api.ts';
import { bytes, count, dateTime } from './format.ts';
import type { Agent, AgentAction, QuarantineSource } from './types.ts';
import { Notice, Question } from './widgets.tsx';

const titles: Record<AgentAction, { verb: string; title: string; danger: boolean }> = {
  approve: { verb: 'Approve', title: 'Approve this agent?', danger: false },
  reject: { verb: 'Reject', title: 'Reject this agent?', danger: true },
  hold: { verb: 'Hold', title: 'Put this agent on hold?', danger: true },
  reinstate: { verb: 'Reinstate', title: 'Let this agent ask again?', danger: false },
};
export const verbOf = (action: AgentAction): string => titles[action].verb;

export function addressesOf(agent: Agent): string {
  const { observed_address: seen, reported_address: said } = agent;
  return said && said !== seen ? `${seen} (says ${said})` : seen;
}

interface Ask {
  /** What happened, in words: shown on the page behind. */
  done: (told: string) => void;
  close: () => void;
}

function Facts({ agent }: { agent: Agent }) {
  return (
    <dl class="facts wide">
      <div><dt>Host</dt><dd>{agent.host_name}</dd></div>
      <div><dt>Address</dt><dd class="mono">{addressesOf(agent)}</dd></div>
      <div><dt>Fingerprint</dt><dd class="mono fingerprint">{agent.fingerprint}</dd></div>
    </dl>
  );
}

function Ranges({ value, set, hint, required }: { value: string; set: (text: string) => void; hint: string; required?: boolean }) {
  return (
    <label class="field">Address ranges it may come from
      <input class="mono" value={value} required={required} spellcheck={false} autocapitalize="none" autocomplete="off" data-testid="ranges"
        placeholder="10.0.0.0/8, 2001:db8::/64" onInput={(event) => set(event.currentTarget.value)} aria-describedby="ranges-hint" />
      <span class="hint" id="ranges-hint">{hint}</span>
    </label>
  );
}

/** What it sent on hold, by process and address: what is ticked counts, the rest becomes gaps. */
function Quarantine({ sources, kept, toggle }: { sources: QuarantineSource[]; kept: Set<number>; toggle: (id: number) => void }) {
  if (!sources.length) return null;
  return (
    <fieldset class="field" data-testid="quarantine">
      <legend>What it sent on hold</legend>
      <p class="hint">What is ticked counts; the rest is told as a gap.</p>
      {sources.map((source) => (
        <label key={source.id} class="check choice">
          <input type="checkbox" checked={kept.has(source.id)} onChange={() => toggle(source.id)} />
          <span><b class="mono">{source.address}</b> {count(source.samples, 'sample')}, {bytes(source.bytes)}
            <span class="soft block">{dateTime(source.first_ms)} to {dateTime(source.last_ms)}, process {source.epoch.slice(0, 8)}</span></span>
        </label>
      ))}
    </fieldset>
  );
}

function Approve({ agent, all, done, close }: { agent: Agent; all: Agent[] } & Ask) {
  const [ranges, setRanges] = useState('');
  const [successor, setSuccessor] = useState('');
  const [sources, setSources] = useState<QuarantineSource[] | undefined>(agent.state === 'hold' ? undefined : []);
  const [kept, setKept] = useState(new Set<number>());
  const [failed, setFailed] = useState('');
  useEffect(() => {
    if (agent.state !== 'hold') return;
    getQuarantine(agent).then((found) => {
      const open = found.filter((source) => !source.decided);
      setSources(open);
      setKept(new Set(open.filter((source) => source.address === agent.observed_address).map((source) => source.id)));
    }).catch((cause) => setFailed(message(cause)));
  }, [agent.id]);
  const toggle = (id: number) => setKept((old) => new Set(old.has(id) ? [...old].filter((one) => one !== id) : [...old, id]));
  const others = all.filter((one) => one.state !== 'pending' && one.id !== agent.id)
    .sort((a, b) => Number(b.host_name === agent.host_name) - Number(a.host_name === agent.host_name) || a.host_name.localeCompare(b.host_name));
  const old = others.find((one) => one.id === successor);
  const run = async () => {
    const decision: Decision = {};
    if (ranges.trim()) decision.addresses = ranges.trim();
    if (successor) decision.successor_of = successor;
    if (sources?.length) decision.keep = [...kept];
    await actOnAgent(agent, 'approve', decision);
    done(old ? `${agent.host_name} is approved, and has taken over the history of ${old.host_name}.` : `${agent.host_name} is approved.`);
  };
  return (
    <Question title={titles.approve.title} yes="Approve" run={run} close={close} ready={sources !== undefined}>
      <Facts agent={agent} />
      <p>It must be the fingerprint that the agent itself prints. Approved, it gets the targets and its samples count.</p>
      <Ranges value={ranges} set={setRanges} hint={`Empty: only ${agent.observed_address}${agent.observed_address.includes(':') ? ' with its /64' : ''}. ${agent.approved_addresses ? `Until now: ${agent.approved_addresses}. ` : ''}From elsewhere it is put on hold.`} />
      {agent.state === 'pending' && others.length > 0 && (
        <label class="field">Successor of
          <select value={successor} data-testid="successor" onChange={(event) => setSuccessor(event.currentTarget.value)}>
            <option value="">nobody: it is a new agent</option>
            {others.map((one) => <option key={one.id} value={one.id}>{one.host_name}{one.host_name === agent.host_name ? ' (same name)' : ''}, {one.state === 'blacklisted' ? 'rejected' : one.state}, {one.observed_address}</option>)}
          </select>
          <span class="hint">{old ? `It takes over the id and the history of ${old.host_name}, whose key is retired for good.` : 'A host that was installed anew comes with a new key.'}</span>
        </label>
      )}
      {failed ? <Notice kind="error">What it sent on hold could not be loaded: {failed}</Notice> : sources && <Quarantine sources={sources} kept={kept} toggle={toggle} />}
    </Question>
  );
}

function Reject({ agent, done, close }: { agent: Agent } & Ask) {
  const [block, setBlock] = useState(false);
  const [revoke, setRevoke] = useState(false);
  const run = async () => {
    await actOnAgent(agent, 'reject', { ...(block && { block_address: true }), ...(revoke && { revoke_passphrase: true }) });
    done(`${agent.host_name} is rejected.${block ? ` ${agent.observed_address} is blocked.` : ''}${revoke ? ' Its passphrase is revoked: issue another one for those who still need it.' : ''}`);
  };
  return (
    <Question title={titles.reject.title} yes="Reject" danger run={run} close={close}>
      <Facts agent={agent} />
      <p>It is disconnected and refused from now on, until you reinstate it.{agent.quarantine_bytes > 0 && ' What it sent on hold is deleted.'}</p>
      <div class="field">
        <label class="check choice"><input type="checkbox" checked={block} data-testid="block-address" onChange={(event) => setBlock(event.currentTarget.checked)} />
          <span>Block its address <b class="mono">{agent.observed_address}</b> <span class="soft block">No agent may connect from there any more.</span></span></label>
        <label class="check choice"><input type="checkbox" checked={revoke} data-testid="revoke-passphrase" onChange={(event) => setRevoke(event.currentTarget.checked)} />
          <span>Revoke the passphrase that it joined with <span class="soft block">Agents that joined with it stay; then issue another one.</span></span></label>
      </div>
    </Question>
  );
}

function Simple({ agent, action, done, close }: { agent: Agent; action: 'hold' | 'reinstate' } & Ask) {
  const run = async () => {
    await actOnAgent(agent, action);
    done(action === 'hold' ? `${agent.host_name} is on hold.` : `${agent.host_name} is pending again.`);
  };
  return (
    <Question title={titles[action].title} yes={titles[action].verb} danger={titles[action].danger} run={run} close={close}>
      <Facts agent={agent} />
      <p>{action === 'hold' ? 'It keeps pinging the targets it has and gets no new ones. What it sends is kept apart until you approve it again, and say what of it counts.'
        : 'It becomes pending again, and may then be approved.'}</p>
    </Question>
  );
}

export function ActionDialog({ agent, action, all, ...ask }: { agent: Agent; action: AgentAction; all: Agent[] } & Ask) {
  if (action === 'approve') return <Approve agent={agent} all={all} {...ask} />;
  if (action === 'reject') return <Reject agent={agent} {...ask} />;
  return <Simple agent={agent} action={action} {...ask} />;
}

export function AddressesDialog({ agent, done, close }: { agent: Agent } & Ask) {
  const [ranges, setRanges] = useState(agent.approved_addresses);
  const run = async () => {
    const changed = await putAddresses(agent, ranges.trim());
    done(changed.state === 'hold' && agent.state !== 'hold' ? `${agent.host_name} is on hold now: it is connected from ${agent.observed_address}, which is not in these ranges.`
      : `${agent.host_name} may come from ${changed.approved_addresses}.`);
  };
  return (
    <Question title={`Addresses of ${agent.host_name}`} yes="Save" run={run} close={close} ready={ranges.trim() !== '' && ranges.trim() !== agent.approved_addresses}>
      <p>It is connected from <b class="mono">{agent.observed_address}</b>. Coming from outside these ranges it is put on hold.</p>
      <Ranges value={ranges} set={setRanges} required hint="Addresses or networks, with commas between them." />
    </Question>
  );
}

export function RekeyDialog({ agent, done, close }: { agent: Agent } & Ask) {
  const run = async () => {
    await rekeyAgent(agent);
    done(`${agent.host_name} is asked for a new key. Its fingerprint here changes as soon as it has answered.`);
  };
  return (
    <Question title={`A new key for ${agent.host_name}?`} yes="Ask for a new key" danger run={run} close={close} ready={agent.online}>
      <Facts agent={agent} />
      <p>For when its key may be in other hands. The agent makes the new one itself; its id, history and approval stay.</p>
      <Notice kind="warn">The old key is refused from then on, for good: every copy of this agent, and every backup of its state directory from before, is locked out.
        If the one that is connected now is not the real one, put it on hold instead: the new key would be in the wrong hands.</Notice>
      {!agent.online && <Notice kind="error">It is offline. It makes the key itself: try again when it is connected.</Notice>}
    </Question>
  );
}

export function BulkDialog({ agents, done, close }: { agents: Agent[] } & Ask) {
  const run = async () => {
    const answer: BulkResult = await approveAgents(agents);
    const nameOf = (id: string) => agents.find((agent) => agent.id === id)?.host_name ?? id;
    const failed = answer.results.filter((one) => !one.approved).map((one) => `${nameOf(one.id)}: ${one.detail ?? 'not approved'}`);
    done(`${count(answer.approved, 'agent')} approved.${failed.length ? ` Not approved: ${failed.join('; ')}.` : ''}`);
  };
  return (
    <Question title={`Approve ${count(agents.length, 'agent')}?`} yes={`Approve ${agents.length}`} run={run} close={close}>
      <p>Each may come from the address it has now. Compare every fingerprint with the one that the agent itself prints.</p>
      <ul class="fingerprints" data-testid="bulk-list" tabIndex={0} aria-label="Agents to approve">
        {agents.map((agent) => <li key={agent.id}><b>{agent.host_name}</b> <span class="mono soft">{addressesOf(agent)}</span><span class="mono block">{agent.fingerprint}</span></li>)}
      </ul>
    </Question>
  );
}
