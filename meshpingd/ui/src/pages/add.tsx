// SPDX-License-Identifier: Apache-2.0
// A passphrase for new agents, and the commands to paste on their hosts.
import { useState } from 'preact/hooks';
import { getPassphrases, getServer, issuePassphrase, message, revokePassphrase, rotatePassphrase } from '../api.ts';
import { isLoopback } from '../addresses.ts';
import { count, dateTime, duration } from '../format.ts';
import { serverNow } from '../live.ts';
import { usePolled } from '../polled.ts';
import type { IssuedPassphrase, Passphrase, ServerInfo } from '../types.ts';
import { Confirm, CopyButton, Notice } from '../widgets.tsx';

const OTHER = '';

const commandTitles: Record<string, string> = {
  deb: 'On a Debian host with the meshping-agent package',
  run: 'Anywhere, from a terminal',
};

function Issued({ issued, close }: { issued: IssuedPassphrase; close: () => void }) {
  return (
    <section class="panel pad issued" aria-labelledby="issued-title" data-testid="issued">
      <header class="panel-head flat"><h2 id="issued-title">Passphrase{issued.label ? ` for ${issued.label}` : ''}</h2><button type="button" class="quiet" onClick={close}>Done</button></header>
      <Notice kind="warn">Copy it now: it is shown only once. Who has it may ask to join until {dateTime(issued.expires_ms)}; you still approve each agent, but for those approved beforehand.</Notice>
      <div class="code"><code data-testid="passphrase">{issued.passphrase}</code><CopyButton text={issued.passphrase} label="Copy the passphrase" /></div>
      {Object.entries(issued.commands).map(([kind, command]) => (
        <div key={kind}>
          <h3>{commandTitles[kind] ?? kind}</h3>
          <div class="code"><pre tabIndex={0} aria-label={commandTitles[kind] ?? kind}>{command}</pre><CopyButton text={command} label={`Copy the command: ${commandTitles[kind] ?? kind}`} /></div>
        </div>
      ))}
      <p class="soft">Then the agent appears as pending under <a href="#/agents">Agents</a>.</p>
    </section>
  );
}

function choicesOf(server: ServerInfo): string[] {
  const outside = server.addresses.filter((address) => !isLoopback(address));
  return [...new Set([...server.advertise, ...outside, ...server.addresses])];
}

function IssueForm({ server, onIssued }: { server: ServerInfo; onIssued: (issued: IssuedPassphrase) => void }) {
  const choices = choicesOf(server);
  const [chosen, setChosen] = useState(choices[0] ?? OTHER);
  const [other, setOther] = useState('');
  const [label, setLabel] = useState('');
  const [hours, setHours] = useState('24');
  const [uses, setUses] = useState('50');
  const [first, setFirst] = useState('');
  const [from, setFrom] = useState('');
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const advertise = chosen === OTHER ? other.trim() : chosen;

  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError('');
    try {
      onIssued(await issuePassphrase({ advertise: advertise || undefined, label: label.trim() || undefined, hours: Number(hours), uses: Number(uses),
        ...(Number(first) > 0 && { preapprove: Number(first), preapprove_from: from.trim() }) }));
      setLabel('');
      setFirst('');
      setFrom('');
    } catch (cause) {
      setError(message(cause));
    }
    setBusy(false);
  };
  return (
    <form class="panel pad form-grid" data-testid="issue-form" onSubmit={submit}>
      <p class="soft full">A passphrase carries this server's address and a key. Every agent that has it may ask to join; you approve each one.</p>
      <label class="full">Address the agents reach this server at
        <select value={chosen} data-testid="advertise" onChange={(event) => setChosen(event.currentTarget.value)}>
          {choices.map((address) => <option key={address} value={address}>{address}{server.advertise.includes(address) ? ' (configured)' : isLoopback(address) ? ' (this machine only)' : ''}</option>)}
          <option value={OTHER}>Another…</option>
        </select>
      </label>
      {chosen === OTHER && <label class="full">Host and port<input required placeholder={`mon.example:${server.port}`} spellcheck={false} autocapitalize="none" value={other} onInput={(event) => setOther(event.currentTarget.value)} /></label>}
      {advertise && isLoopback(advertise) && <div class="full"><Notice kind="warn">{advertise} is a loopback address: only agents on this very machine can reach it.</Notice></div>}
      <label>Label<input placeholder="rack 7" maxLength={64} value={label} data-testid="label" onInput={(event) => setLabel(event.currentTarget.value)} /></label>
      <label>Valid for, hours<input type="number" min={1} max={8760} required value={hours} onInput={(event) => setHours(event.currentTarget.value)} /></label>
      <label>Uses<input type="number" min={1} max={100000} required value={uses} onInput={(event) => setUses(event.currentTarget.value)} /></label>
      <fieldset class="full preapprove">
        <legend>Approve the first ones at once</legend>
        <label>How many<input type="number" min={1} max={Number(uses) || 1} value={first} placeholder="none" data-testid="preapprove" onInput={(event) => setFirst(event.currentTarget.value)} /></label>
        <label>When they come from<input class="mono" value={from} required={Number(first) > 0} disabled={!(Number(first) > 0)} spellcheck={false} autocapitalize="none" autocomplete="off" placeholder="10.0.0.0/24, 2001:db8::/64" data-testid="preapprove-from" onInput={(event) => setFrom(event.currentTarget.value)} /></label>
        <p class="hint">Nobody compares their fingerprints. Who comes from elsewhere, or later, waits for you.</p>
      </fieldset>
      {error && <div class="full"><Notice kind="error">{error}</Notice></div>}
      <div class="actions start full"><button type="submit" class="primary" disabled={busy} data-testid="issue">Issue a passphrase</button></div>
    </form>
  );
}

const nameOf = (passphrase: Passphrase): string => passphrase.label || passphrase.id.slice(0, 8);

function status(passphrase: Passphrase): string {
  const now = serverNow();
  if (passphrase.revoked) return 'revoked';
  if (passphrase.expires_ms <= now) return 'expired';
  if (passphrase.uses >= passphrase.uses_max) return 'used up';
  return `valid for ${duration(passphrase.expires_ms - now)}`;
}

export function AddPage() {
  const server = usePolled(getServer, 0);
  const list = usePolled(getPassphrases, 5000);
  const [issued, setIssued] = useState<IssuedPassphrase>();
  const [asked, setAsked] = useState<{ passphrase: Passphrase; what: 'revoke' | 'rotate' }>();
  const [failed, setFailed] = useState('');
  const [busy, setBusy] = useState(false);
  const act = async () => {
    if (!asked) return;
    setBusy(true);
    setFailed('');
    try {
      if (asked.what === 'revoke') {
        await revokePassphrase(asked.passphrase.id);
      } else {
        setIssued(await rotatePassphrase(asked.passphrase.id));
        scrollTo(0, 0);
      }
    } catch (cause) {
      setFailed(`${asked.what === 'revoke' ? 'Not revoked' : 'Not replaced'}: ${message(cause)}`);
    }
    setBusy(false);
    setAsked(undefined);
    list.reload();
  };
  const passphrases = list.data ?? [];
  return (
    <>
      <div class="page-head"><h1>Add an agent</h1></div>
      {server.error && <Notice kind="error">{server.error}</Notice>}
      {issued && <Issued issued={issued} close={() => setIssued(undefined)} />}
      {server.data && <IssueForm server={server.data} onIssued={(next) => { setIssued(next); list.reload(); scrollTo(0, 0); }} />}
      {(failed || list.error) && <Notice kind="error">{failed || list.error}</Notice>}
      <section class="panel" aria-labelledby="passphrases-title">
        <header class="panel-head"><h2 id="passphrases-title">Passphrases <span class="count">{passphrases.length}</span></h2></header>
        {passphrases.length === 0 ? <p class="empty">None issued yet.</p> : (
          <div class="table-wrap" tabIndex={0} role="group" aria-labelledby="passphrases-title">
            <table class="stack">
              <thead><tr><th scope="col">Label</th><th scope="col">Status</th><th scope="col" class="num">Uses</th><th scope="col">Issued</th><th scope="col">Expires</th><th scope="col"><span class="hidden">Actions</span></th></tr></thead>
              <tbody>
                {[...passphrases].sort((a, b) => b.created_ms - a.created_ms).map((passphrase) => {
                  const now = status(passphrase);
                  const valid = now.startsWith('valid');
                  return (
                    <tr key={passphrase.id} data-testid="passphrase-row" data-status={now}>
                      <td class="long">{passphrase.label || <span class="mono soft">{passphrase.id.slice(0, 8)}</span>}</td>
                      <td class={valid ? '' : 'soft'} data-label="Status">{now}</td>
                      <td class="num" data-label="Uses">{passphrase.uses} of {passphrase.uses_max}
                        {passphrase.preapprove > 0 && <div class="soft beforehand" data-testid="beforehand">{passphrase.preapproved} of {passphrase.preapprove} approved beforehand, from {passphrase.preapprove_from}</div>}</td>
                      <td class="nowrap" data-label="Issued">{dateTime(passphrase.created_ms)}</td>
                      <td class="nowrap" data-label="Expires">{dateTime(passphrase.expires_ms)}</td>
                      <td class="row-actions">{valid && <>
                        <button type="button" onClick={() => setAsked({ passphrase, what: 'rotate' })} aria-label={`Replace ${nameOf(passphrase)}`}>Replace</button>
                        <button type="button" onClick={() => setAsked({ passphrase, what: 'revoke' })} aria-label={`Revoke ${nameOf(passphrase)}`}>Revoke</button>
                      </>}</td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
        )}
      </section>
      {asked && (
        <Confirm title={asked.what === 'revoke' ? 'Revoke this passphrase?' : 'Replace this passphrase?'} yes={asked.what === 'revoke' ? 'Revoke' : 'Replace'} danger busy={busy} onYes={act} onNo={() => setAsked(undefined)}>
          <p><b>{nameOf(asked.passphrase)}</b> was used {count(asked.passphrase.uses, 'time')}. Agents that joined with it stay; nobody else can join with it.{asked.what === 'rotate' && ' Another one with the same address and limits is issued, and shown once.'}</p>
        </Confirm>
      )}
    </>
  );
}
