// The page of ipsp-monitor: asks for /page.json every other second and shows it. All text is put in as
// text, never as HTML. Nothing is kept, and nothing is sent.
'use strict';

const EVERY_MS = 2000;
const HIDDEN_MS = 15000;
const PATIENCE_MS = 8000;
const OLD_MS = 5000; // what is older is said to be

let shown = null; // the last answer of the monitor
let shownAt = 0; // performance.now() when it came
let trouble = ''; // why there is no newer one
let before = null; // states of the contexts, to tell what has changed
let next = 0; // the timer of the next question
const folded = new Map(); // contexts that somebody has opened or closed

// ---------------------------------------------------------------- making elements

const SVG = 'http://www.w3.org/2000/svg';

/** An element: h('p', {class: 'x'}, 'text', another). null and false are left out. */
function h(name, attributes, ...inside) {
	const svg = name === 'svg' || name === 'rect' || name === 'title';
	const element = svg ? document.createElementNS(SVG, name) : document.createElement(name);
	for (const [key, value] of Object.entries(attributes || {}))
		if (value !== null && value !== undefined && value !== false)
			element.setAttribute(key, value === true ? '' : String(value));
	for (const thing of inside.flat(Infinity))
		if (thing !== null && thing !== undefined && thing !== false && thing !== '')
			element.append(thing);
	return element;
}

/** Makes @old look like @now with as few changes as it takes: focus and open folds stay. */
function morph(old, now) {
	if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName) {
		old.replaceWith(now);
		return;
	}
	if (old.nodeType !== Node.ELEMENT_NODE) {
		if (old.data !== now.data)
			old.data = now.data;
		return;
	}
	for (const {name} of [...old.attributes])
		if (!now.hasAttribute(name) && !(name === 'open' && old.nodeName === 'DETAILS'))
			old.removeAttribute(name);
	for (const {name, value} of now.attributes)
		if (old.getAttribute(name) !== value && !(name === 'open' && old.nodeName === 'DETAILS'))
			old.setAttribute(name, value);
	const inside = [...now.childNodes];
	while (old.childNodes.length > inside.length)
		old.lastChild.remove();
	inside.forEach((child, i) => {
		if (old.childNodes[i])
			morph(old.childNodes[i], child);
		else
			old.append(child);
	});
}

// ---------------------------------------------------------------- words

const number = n => Number.isFinite(n) ? Math.round(n).toLocaleString('en-GB') : '–';
const plural = (n, one, many) => `${number(n)} ${n === 1 ? one : many || one + 's'}`;

function duration(ms) {
	if (ms === null || ms === undefined || ms < 0)
		return 'never';
	const s = ms / 1000;
	if (s < 10)
		return `${s.toFixed(1)} s`;
	if (s < 120)
		return `${Math.round(s)} s`;
	if (s < 7200)
		return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
	if (s < 172800)
		return `${Math.floor(s / 3600)} h ${Math.floor(s / 60 % 60)} min`;
	return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600 % 24)} h`;
}

const WAITS = {
	peer: 'for the peer', lease: 'for a lease from the peer', healing: 'for the healing to end',
	silence: 'for a dead interval of silence', 'first-grant': 'for the first assignment of the primary',
	veto: 'as the hook has vetoed the takeover', unheard: 'as the peer does not hear this side',
	link: 'for its own link',
};

const by = (list, name) => ((list && list.contexts) || []).find(one => one.name === name) || {};

function tagOf(context) {
	if (context.serving)
		return h('span', {class: 'tag good'}, 'serving');
	return h('span', {class: `tag ${context.state === 'disabled' || context.state === 'inactive' ? 'warn' : 'bad'}`},
		'not serving');
}

const peerTag = peer => h('span', {
	class: `tag ${{up: 'good', unknown: 'warn', stopped: 'warn'}[peer.state] || 'bad'}`,
}, `peer ${peer.state}`);

// ---------------------------------------------------------------- the parts of a context

const facts = pairs => h('dl', null, pairs.filter(([, value]) => value !== null && value !== '')
	.map(([name, value]) => [h('dt', null, name), h('dd', null, value)]));

/** It has a pool-share-protocol, and so a peer. */
const shares = context => Boolean(context.address && context.peer);

function sides(context) {
	if (!shares(context))
		return h('p', {class: 'soft'}, 'This context has no pool-share-protocol: its pools are not shared.');
	const peer = context.peer;
	const well = context.link && context.link.bound && peer.state === 'up';
	const role = context.role === context['configured-role'] ? context.role
		: `${context.role} (configured: ${context['configured-role']}${context['role-on-loan'] ? ', on loan' : ''})`;
	const waits = context['waiting-for'] && (WAITS[context['waiting-for']] || context['waiting-for']);
	const differs = peer.state === 'up' ? 'differs' : 'perhaps differs';
	const key = peer['key-match'] === false ? differs : peer['key-match'] ? 'the same' : null;
	return h('div', {class: 'sides'},
		h('div', {class: 'side'}, h('h3', null, 'This side'), facts([
			['role', role], ['state', context.state],
			['waits', waits ? `${waits}, ${duration(context['waiting-ms'])}` : null],
			['address', `${context.address}, port ${context.port}`],
			['mode', context.mode === 'active' ? null : context.mode],
			['epoch', String(context.epoch)],
		])),
		h('div', {class: `link${well ? '' : ' broken'}`},
			h('b', null, context.interface || 'no interface'), h('span', {class: 'line'}),
			context.link && context.link.error ? context.link.error
				: `last heard ${peer['last-heard-ms'] === null ? 'never' : duration(peer['last-heard-ms']) + ' ago'}`,
			peer['dead-in-ms'] === null || peer['dead-in-ms'] === undefined ? null
				: h('div', null, `dead in ${duration(peer['dead-in-ms'])}`)),
		h('div', {class: 'side'}, h('h3', null, 'Peer'), facts([
			['role', peer.role], ['state', peer.state],
			['address', peer.address || 'none'],
			['sessions', peer.state === 'up' ? number(peer.used) : null],
			['version', peer.version || null], ['key', key],
		])));
}

const PARTS = [
	['s-used', 'used', pool => pool.used], ['s-free', 'free here', pool => pool.free],
	['s-held', 'held', pool => pool.hold + pool.quarantine],
	['s-transit', 'in transit', pool => pool['in-transit']],
	['s-peers', "the peer's", pool => pool.released],
];

/** The counts side by side, in thousandths of the width: a million addresses are five rectangles. */
function picture(pool) {
	const parts = PARTS.map(([kind, word, count]) => ({kind, word, n: count(pool)})).filter(part => part.n > 0);
	const reclaimed = pool.reclaimed || 0;
	const words = parts.map(part => `${number(part.n)} ${part.word}`);
	if (reclaimed > 0)
		words.push(`${number(reclaimed)} of them reclaimed from the peer`);
	let at = 0;
	const bars = parts.map(part => {
		// what is there is seen, however little it is
		const width = Math.max(part.n / pool.size * 1000, 4);
		const bar = h('rect', {class: part.kind, x: at.toFixed(2), y: 0, width: width.toFixed(2), height: 24});
		at += width;
		return bar;
	});
	return h('svg', {
		role: 'img', viewBox: `0 0 ${Math.max(at, 1).toFixed(2)} 24`, preserveAspectRatio: 'none',
		'aria-label': words.join(', '),
	}, h('title', null, words.join(', ')), bars, reclaimed > 0 && h('rect', {
		class: 's-reclaimed', x: 0, y: 19, width: (reclaimed / pool.size * at).toFixed(2), height: 5,
	}));
}

function pools(context) {
	const held = pool => pool.hold + pool.quarantine;
	const any = (context.pools || []).length > 0;
	return [
		h('h3', null, 'Pools'),
		!any && h('p', {class: 'soft'}, 'There is no dynamic pool.'),
		any && h('div', {class: 'scroll'}, h('table', {class: 'stack'},
			h('caption', {class: 'unseen'}, `Pools of ${context.name}`),
			h('thead', null, h('tr', null, h('th', {scope: 'col'}, 'pool'), h('th', {scope: 'col'}, 'addresses'),
				['used', 'free here', 'held', 'in transit', "the peer's", 'size'].map(word =>
					h('th', {scope: 'col', class: 'n'}, word)))),
			h('tbody', null, context.pools.map(pool => h('tr', null,
				h('th', {scope: 'row'}, h('span', null, pool.name, ' ',
					h('span', {class: 'soft'}, [pool.group, pool.type, `priority ${pool.priority}`]
						.filter(Boolean).join(', ')))),
				h('td', {class: 'picture'}, picture(pool)),
				[['used', pool.used], ['free here', pool.free], ['held', held(pool)],
					['in transit', pool['in-transit']], ["the peer's", pool.released], ['size', pool.size]]
					.map(([name, n]) => h('td', {class: 'n', 'data-name': name}, number(n)))))))),
		any && h('ul', {class: 'legend', 'aria-hidden': 'true'},
			[...PARTS, ['s-reclaimed', 'reclaimed from the peer']].map(([kind, word]) =>
				h('li', null, h('i', {class: kind}), word))),
	];
}

function drain(context, stop, began) {
	if (!context.draining)
		return null;
	if (context.drained)
		return h('div', {class: 'box good'}, h('b', null, 'Drained: '),
			'no session and no address is left here. The peer knows it.');
	const first = Math.max((began && began['first-sessions']) || 0, stop.sessions || 0);
	const done = first - stop.sessions;
	const left = done > 0 && began['for-ms'] > 0 ? stop.sessions * began['for-ms'] / done : null;
	const words = `${number(stop.sessions)} of ${number(first)} sessions are still here` +
		`${left !== null && stop.sessions > 0 ? `, about ${duration(left)} left` : ''}; ` +
		`${number(stop.unused + stop['in-transit'])} unused addresses still move.`;
	return h('div', {class: 'box warn'}, h('b', null, 'Draining: '), words,
		h('progress', {max: Math.max(first, 1), value: first > 0 ? done : 1,
			'aria-label': `Drain of ${context.name}`}));
}

function stopBox(stop) {
	if (stop.ok === undefined)
		return null;
	if (stop.ok)
		return h('div', {class: 'box good'}, h('b', null, 'Safe to stop: '),
			'stopping this host costs no session its address.',
			(stop.notes || []).map(note => h('p', null, note)));
	return h('div', {class: 'box warn'}, h('b', null, 'Not safe to stop this host now:'),
		h('ul', null, stop.reasons.map(({reason, remedy}) =>
			h('li', null, reason, remedy && [': ', /^ipspctl /.test(remedy) ? h('code', null, remedy) : remedy]))));
}

function duplicates(context, all) {
	const found = all && all[context.name];
	const open = context.counters && context.counters['duplicates-open'];
	const solved = context.counters && context.counters['duplicates-resolved'];
	if (!open)
		return solved > 0 && h('p', {class: 'soft'},
			`${plural(solved, 'duplicate')} resolved here since the start, none open.`);
	const rows = (found && found.duplicates) || [];
	return [
		h('h3', null, `Duplicates: ${number(open)} open, ${number(solved)} resolved here`),
		h('p', null, 'These addresses have a session on each side. ',
			h('code', null, `ipspctl -c ${context.name} show duplicates`), ' names the subscribers.'),
		rows.length > 0 && h('div', {class: 'scroll'}, h('table', null,
			h('caption', {class: 'unseen'}, `Duplicates of ${context.name}`),
			h('thead', null, h('tr', null, ['address', 'pool', 'state', 'dropped by', 'found'].map(word =>
				h('th', {scope: 'col'}, word)))),
			h('tbody', null, rows.map(row => h('tr', null, h('th', {scope: 'row'}, row.address),
				h('td', null, row.pool), h('td', null, row.state),
				h('td', null, row['dropped-by'] === 'here' ? 'this side' : 'the peer'),
				h('td', null, `${duration(row['age-ms'])} ago`)))))),
		open > rows.length && h('p', {class: 'soft'}, `The first ${number(rows.length)} are shown.`),
	];
}

function events(list, title) {
	const latest = (list || []).slice(-12).reverse();
	if (latest.length === 0)
		return null;
	return [h('h3', null, title), h('ol', {class: 'events'}, latest.map(event =>
		h('li', {class: `is-${event.level}`},
			h('time', {datetime: event.time}, `${duration(event['age-ms'])} ago`),
			h('span', null, /error|warning/.test(event.level)
				? [h('span', {class: 'word'}, event.level), ': '] : null, event.text))))];
}

function card(context, data, alone) {
	const stop = by(data['ok-to-stop'], context.name);
	const open = folded.has(context.name) ? folded.get(context.name) : alone;
	return h('details', {class: 'card', id: `context-${context.name}`, open},
		h('summary', null, h('h2', null, context.name), tagOf(context), shares(context) ? peerTag(context.peer) : null,
			h('span', {class: 'soft'}, shares(context) ? `${context.role}, ${context.state}` : 'not shared')),
		open && inside(context, data, stop));
}

/** What a context that is folded needs not: of 64 it would take a while. */
function inside(context, data, stop) {
	return [
		(context.notes || []).length > 0 && h('div', {class: 'box warn'}, h('ul', null,
			context.notes.map(note => h('li', null, note)))),
		drain(context, stop, (data.drains || {})[context.name]),
		sides(context), pools(context), stopBox(stop), duplicates(context, data.duplicates),
		events(by(data.log, context.name).events, 'Latest events'),
	];
}

// ---------------------------------------------------------------- the whole

function overview(data) {
	const contexts = data.ipsp.contexts;
	if (contexts.length < 2)
		return null;
	const sum = key => contexts.reduce((all, one) => all + one.pools.reduce((n, pool) => n + pool[key], 0), 0);
	const row = context => {
		const total = key => number(context.pools.reduce((n, pool) => n + pool[key], 0));
		const stop = by(data['ok-to-stop'], context.name);
		return h('tr', null,
			h('th', {scope: 'row'}, h('a', {href: `#context-${context.name}`}, context.name)),
			h('td', {'data-name': 'serves'}, tagOf(context)),
			h('td', {'data-name': 'role'}, context.role),
			h('td', {'data-name': 'state'}, context.state + (context.draining ? ', draining' : '')),
			h('td', {'data-name': 'peer'}, (context.peer || {}).state),
			h('td', {class: 'n', 'data-name': 'used'}, total('used')),
			h('td', {class: 'n', 'data-name': 'free here'}, total('free')),
			h('td', {class: 'n', 'data-name': "the peer's"}, total('released')),
			h('td', {'data-name': 'ok to stop'}, stop.ok === undefined ? '–' : stop.ok ? 'yes' : 'no'));
	};
	const serving = contexts.filter(one => one.serving).length;
	return h('section', {class: 'card', 'aria-labelledby': 'overview'},
		h('h2', {id: 'overview'}, plural(contexts.length, 'context')),
		h('p', {class: 'soft'}, `${number(serving)} serving. ${number(sum('used'))} addresses used, ` +
			`${number(sum('free'))} free here, ${number(sum('released'))} the peer's.`),
		h('div', {class: 'scroll'}, h('table', {class: 'stack'},
			h('caption', {class: 'unseen'}, 'All contexts'),
			h('thead', null, h('tr', null, ['context', '', 'role', 'state', 'peer'].map(word =>
				word ? h('th', {scope: 'col'}, word) : h('th', {scope: 'col'}, h('span', {class: 'unseen'}, 'serves'))),
				['used', 'free here', "the peer's"].map(word => h('th', {scope: 'col', class: 'n'}, word)),
				h('th', {scope: 'col'}, 'ok to stop'))),
			h('tbody', null, contexts.map(row)))));
}

function render(data) {
	const alone = data.ipsp.contexts.length <= 3;
	const now = h('main', {id: 'main', tabindex: '-1'}, overview(data),
		data.ipsp.contexts.map(context => card(context, data, alone)),
		data.ipsp.contexts.length === 0 && h('p', null, 'No context is configured.'),
		data.log && data.log.daemon && (data.log.daemon.events || []).length > 0 &&
			h('section', {class: 'card'}, events(data.log.daemon.events, 'Events of the daemon as a whole')));
	morph(document.getElementById('main'), now);
	document.getElementById('version').textContent = data.version || '';
}

/** Tells a screen reader, and the title of the tab, what has changed: not all that is shown. */
function tellNews(data) {
	const states = new Map(data.ipsp.contexts.map(one => [one.name,
		`${one.role}, ${one.state}, ${one.serving ? 'serving' : 'not serving'}, peer ${(one.peer || {}).state}`]));
	const news = [];
	if (before)
		for (const [name, state] of states)
			if (before.get(name) !== state)
				news.push(`${name}: ${state}.`);
	before = states;
	if (news.length > 0)
		document.getElementById('news').textContent = news.join(' ');
	const bad = data.ipsp.contexts.filter(one => !one.serving).length;
	document.title = bad > 0 ? `(${bad} not serving) ipspd` : 'ipspd';
}

/** Every second: how old all this is, and why. */
function tellAge() {
	const alarm = document.getElementById('alarm');
	if (document.hidden)
		return;
	const age = shown && shown['age-ms'] >= 0 ? shown['age-ms'] + performance.now() - shownAt : -1;
	let words = trouble ? 'ipsp-monitor does not answer.' :
		shown && !shown.up ? `ipspd does not answer: ${shown.why}.` : '';
	if (age > OLD_MS)
		words = `${words || 'ipspd does not answer.'} What is shown is ${duration(age)} old.`;
	else if (words && age < 0)
		words += ' There is nothing to show yet.';
	// said aloud once, not for each second that it grows older
	const told = words.replace(/[0-9.]+ (s|min|h|d)( [0-9]+ (s|min|h))?/, '');
	if (alarm.dataset.told !== told) {
		alarm.dataset.told = told;
		document.getElementById('urgent').textContent = words;
	}
	if (alarm.textContent !== words)
		alarm.textContent = words;
	alarm.hidden = !words;
	document.body.classList.toggle('old', Boolean(words));
	document.getElementById('age').textContent = age < 0 ? 'No answer yet' : `Updated ${duration(age)} ago`;
}

async function ask() {
	clearTimeout(next);
	try {
		const answer = await fetch('/page.json', {cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS)});
		if (!answer.ok)
			throw new Error(String(answer.status));
		const data = await answer.json();
		shown = data;
		shownAt = performance.now();
		trouble = '';
		if (data.number > 0) {
			render(data);
			tellNews(data);
		}
	} catch (error) {
		trouble = String(error);
	}
	tellAge();
	next = setTimeout(ask, document.hidden ? HIDDEN_MS : EVERY_MS);
}

document.addEventListener('visibilitychange', () => {
	if (!document.hidden && next)
		ask();
});

document.addEventListener('toggle', event => {
	if (event.target.nodeName !== 'DETAILS')
		return;
	folded.set(event.target.id.replace('context-', ''), event.target.open);
	render(shown);
}, true);

/** A link to a context opens it. */
function follow() {
	const there = document.getElementById(decodeURIComponent(location.hash.slice(1)));
	if (there && there.nodeName === 'DETAILS') {
		there.open = true;
		folded.set(there.id.replace('context-', ''), true);
		render(shown);
		there.scrollIntoView();
	}
}
window.addEventListener('hashchange', follow);
setInterval(tellAge, 1000);
ask().then(follow);
