// SPDX-License-Identifier: Apache-2.0
// Another key for the server, in its two steps: docs/OPERATIONS.md.
import { useState } from 'preact/hooks';
import { ago, count } from '../format.ts';
import { serverNow } from '../live.ts';
import { usePolled } from '../polled.ts';
import { abortServerKey, beginServerKey, getServerKey, switchServerKey } from '../server_key_api.ts';
import type { KeyHolder, ServerKeyState } from '../types.ts';
import { Notice, Question } from '../widgets.tsx';

type Step = 'begin' | 'switch' | 'abort';

function Holders({ title, list, testid }: { title: string; list: KeyHolder[]; testid: string }) {
  return (
    <div class="field" data-testid={testid}>
      <b>{title}</b>
      <ul>{list.map((one) => <li key={one.id}>{one.host_name} <span class="soft">{one.online ? 'online' : `offline, seen ${ago(one.last_seen_ms, serverNow())}`}</span></li>)}</ul>
    </div>
  );
}

function StepDialog({ step, now, done, close }: { step: Step; now: ServerKeyState; done: (state: ServerKeyState, told: string) => void; close: () => void }) {
  const [giveUp, setGiveUp] = useState(false);
  const waiting = now.waiting_count;
  if (step === 'begin') {
    return (
      <Question title="Make the server's next key?" yes="Make it" run={async () => done(await beginServerKey(), 'The next key is made, and the agents are told of it.')} close={close}>
        <p>For when <span class="mono">server.key</span> may be in wrong hands, or by habit. Every agent is told of the next key and stores it; all goes on with the present one until you switch.</p>
        <p>Agents that are away hear of it when they come back: leave them some days before you switch.</p>
      </Question>
    );
  }
  if (step === 'abort') {
    return (
      <Question title="Give up the next key?" yes="Give it up" danger run={async () => done(await abortServerKey(), 'The next key is given up; all is as it was.')} close={close}>
        <p>The present key stays, and the agents forget the next one. If the present key is in wrong hands, that does not end it.</p>
      </Question>
    );
  }
  return (
    <Question title="Switch to the next key?" yes="Switch" danger ready={!waiting || giveUp} close={close}
      run={async () => done(await switchServerKey(giveUp), 'The server has its next key. Issue new passphrases for agents that have yet to join.')}>
      <Notice kind="warn">This cannot be taken back. The present key is gone at once, and all open passphrases are revoked, for they carry it.
        Backups from before the switch have the old key, which agents will refuse.</Notice>
      <p>Nobody is disconnected. Browsers may warn of the new key once, unless the server has a certificate of its own for them.</p>
      {waiting > 0 && (
        <label class="check choice"><input type="checkbox" checked={giveUp} data-testid="give-up" onChange={(event) => setGiveUp(event.currentTarget.checked)} />
          <span>Leave {count(waiting, 'agent')} behind <span class="soft block">{waiting === 1 ? 'It has' : 'They have'} not stored the next key. Whoever has not is locked out until somebody gives it a new passphrase on its own host; it keeps its id and approval.</span></span></label>
      )}
    </Question>
  );
}

export function ServerKey() {
  const { data: now, error, put } = usePolled(getServerKey, 3000);
  const [step, setStep] = useState<Step>();
  const [told, setTold] = useState('');
  const done = (state: ServerKeyState, what: string) => {
    put(state);
    setTold(what);
  };
  const ask = (next: Step) => {
    setTold('');
    setStep(next);
  };
  return (
    <section class="panel pad" aria-labelledby="server-key" data-testid="server-key">
      <header class="panel-head flat"><h2 id="server-key">The server's key</h2></header>
      {error && <Notice kind="error">{error}</Notice>}
      {told && <Notice kind="good">{told}</Notice>}
      {now && (
        <>
          <dl class="about">
            <div><dt>In use</dt><dd class="mono wrap" data-testid="key-pin">{now.pin}</dd></div>
            <div><dt>Next</dt><dd class={now.next ? 'mono wrap' : ''} data-testid="key-next">{now.next ?? 'none: no change is going on'}</dd></div>
            {now.next && <div><dt>Stored by</dt><dd data-testid="key-stored">{now.approved - now.waiting_count} of {count(now.approved, 'approved agent')}</dd></div>}
          </dl>
          {now.next && now.waiting_count > 0 && <Holders title={`Waited for: ${count(now.waiting_count, 'agent')}`} list={now.waiting} testid="key-waiting" />}
          {now.left_behind.length > 0 && <Holders title="Left behind: each needs a new passphrase on its own host" list={now.left_behind} testid="key-left-behind" />}
          <div class="actions start">
            {now.next ? (
              <>
                <button type="button" class="danger" data-testid="key-switch" onClick={() => ask('switch')}>Switch to the next key</button>
                <button type="button" data-testid="key-abort" onClick={() => ask('abort')}>Give up the next key</button>
              </>
            ) : <button type="button" data-testid="key-begin" onClick={() => ask('begin')}>Make the next key</button>}
          </div>
          {step && <StepDialog step={step} now={now} done={done} close={() => setStep(undefined)} />}
        </>
      )}
    </section>
  );
}
