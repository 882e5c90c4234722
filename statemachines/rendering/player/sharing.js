// A play as a scenario file, and as the fragment of a link.

const CONNECTION = 'conn_1';

// The scenario that `phasebus simulate` and `phasebus test` run: what came, and what is there now.
function scenarioText(play, data) {
  const { description, registration } = data.story;
  const lines = [
    `definition: ${scalar(data.called)}`,
    `description: ${scalar(description || 'Played by hand.')}`,
    `connections: {${CONNECTION}: ${flow(registration)}}`,
    'steps:',
  ];
  let time = 0;
  for (const { at, label } of play.events.slice(0, play.applied)) {
    const event = data.labels[label];
    if (event.kind === 'mark') lines.push(`  - mark: ${scalar(event.data.dependency)}`);
    else lines.push(`  - publish: ${scalar(event.type)}`);
    if (event.kind !== 'mark' && event.data) lines.push(`    data: ${flow(event.data)}`);
    if (at !== time) lines.push(`    at: ${secondsText(at)}`);
    time = at;
  }
  const position = play.position;
  if (position.beyond) {
    lines.push(`  - wait: ${secondsText(play.now - time)}`);
  } else {
    const configuration = play.table.configuration(position);
    lines.push(`  - expect: {configuration: ${flow(configuration)}}`);
    if (play.now !== time) lines.push(`    at: ${secondsText(play.now)}`);
  }
  return `${lines.join('\n')}\n`;
}

// JSON is YAML, once what YAML does not print is escaped.
function flow(value) {
  if (Array.isArray(value)) return `[${value.map(flow).join(', ')}]`;
  if (value !== null && typeof value === 'object') {
    return `{${Object.entries(value)
      .map(([name, inner]) => `${/^[a-z_][a-z0-9_]*$/.test(name) ? name : flow(name)}: ${flow(inner)}`)
      .join(', ')}}`;
  }
  return JSON.stringify(value).replace(/[^\x20-\x7e\xa0-\ud7ff]/gu, (sign) => {
    const code = sign.codePointAt(0).toString(16);
    return code.length > 4 ? `\\U${code.padStart(8, '0')}` : `\\u${code.padStart(4, '0')}`;
  });
}

function scalar(text) {
  return /^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$/.test(text) && !/^(true|false|null)$/.test(text) ? text : flow(text);
}

// As in #0~webrtc.audio_track_ready,2.5~ai.connection_failed!1&now=30: seconds, event, and which of its payloads.
function fragment(play, data) {
  const events = play.events
    .slice(0, play.applied)
    .map(({ at, label }) => `${at}~${eventKey(data, label)}`)
    .join(',');
  return `#${events}&now=${play.now}`;
}

// The events and the time of a fragment; null if it is none, and `problem` if this page has no such event.
function readFragment(text, data) {
  const match = /^#([^&]*)&now=(\d+(?:\.\d+)?(?:e-\d+)?)$/.exec(decoded(text));
  if (match === null) return null;
  const events = [];
  let time = 0;
  for (const word of match[1] ? match[1].split(',') : []) {
    const [at, key] = word.split('~');
    const label = data.labels.findIndex((_, number) => eventKey(data, number) === key);
    if (label < 0) return { events, now: time, problem: `The link has an event that is not here: ${key}` };
    if (!(Number(at) >= time && Number(at) <= LONGEST)) return { events, now: time, problem: 'The link goes back in time.' };
    time = exactly(Number(at));
    events.push({ at: time, label });
  }
  return { events, now: exactly(Math.min(Number(match[2]), LONGEST)) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

function eventKey(data, label) {
  const { kind, type, data: payload } = data.labels[label];
  if (kind === 'mark') return `mark:${payload.dependency}`;
  if (kind !== 'event') return '';
  const alike = data.labels.slice(0, label).filter((other) => other.kind === 'event' && other.type === type).length;
  return alike ? `${type}!${alike}` : type;
}
