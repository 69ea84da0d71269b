// SPDX-License-Identifier: Apache-2.0
// "Ping now": one probe beside the schedule. What it finds is shown here, and is no sample.
import { useEffect, useState } from 'preact/hooks';
import { call, message } from '../api.ts';
import { dateTime, rtt } from '../format.ts';
import type { Cell } from '../model.ts';
import type { ProbeRequest } from '../types.ts';

const LOOK_MS = 300;

const reasons = { unknown_target: 'the agent does not have this target now', busy: 'the agent is busy with others' };

function words({ probes: [probe] }: ProbeRequest): string {
  if (!probe || probe.state === 'no_answer') return 'the agent did not tell';
  if (probe.state === 'waiting') return 'waiting';
  if (probe.state === 'not_probed') return `not pinged: ${probe.reason ? reasons[probe.reason] : 'no reason told'}`;
  const at = probe.sent_ms === undefined ? '' : ` (sent ${dateTime(probe.sent_ms)})`;
  return (probe.outcome === 'ok' && probe.rtt_us !== undefined ? rtt(probe.rtt_us) : (probe.outcome ?? '').replaceAll('_', ' ')) + at;
}

export function ProbeNow({ cell }: { cell: Cell }) {
  const [request, setRequest] = useState<ProbeRequest>();
  const [error, setError] = useState('');
  const [asking, setAsking] = useState(false);
  const show = (promise: Promise<ProbeRequest>) => promise.then(setRequest, (cause: unknown) => { setRequest(undefined); setError(message(cause)); });
  useEffect(() => {
    if (!request || request.done) return;
    const timer = setTimeout(() => void show(call<ProbeRequest>(`/api/v1/probes/${request.id}`)), LOOK_MS);
    return () => clearTimeout(timer);
  }, [request]);
  const ask = async () => {
    setAsking(true);
    setError('');
    await show(call<ProbeRequest>('/api/v1/probes', { method: 'POST', body: { agent: cell.agent.id, target: cell.target.id } }));
    setAsking(false);
  };
  return (
    <p class="probe-now">
      <button type="button" data-testid="probe-now" disabled={asking || (request && !request.done)} onClick={() => void ask()}>Ping now</button>{' '}
      <span role="status" data-testid="probe-result">{request ? words(request) : ''}</span>
      {error && <span class="error" role="alert">{error}</span>}
    </p>
  );
}
