// The delivery's check inside nginx: the same decisions as streaming/delivery/asgi.py and grants.py.
//
// nginx calls judge() before it sends a file, begun() when the first byte is about to go, and noted()
// when the request has ended. Five times a second, one worker takes what the requests noted to the web
// server, and brings the sessions that have ended. `delivery` is the preloaded file of facts
// (configuration.facts). Requests wait for nothing: they read shared memory.

import crypto from 'crypto';
import fs from 'fs';

const ended = () => ngx.shared.vod_ended;
const state = () => ngx.shared.vod_state;
const notes = () => ngx.shared.vod_notes;

// --- the check ------------------------------------------------------------------------------------

// Refuse the request, or name the file that nginx sends. Nothing has been sent before.
function judge(r) {
    const refusal = refusalOf(r);
    if (refusal) {
        r.variables.media_refusal = refusal;
        r.return(599);  // The configuration's error_page passes it to refuse().
    }
}

// Return the code of the first refusal that applies; an empty text when there is none.
function refusalOf(r) {
    if (r.method !== 'GET' && r.method !== 'HEAD') {
        return r.method === 'OPTIONS' ? 'preflight' : 'method_not_allowed';
    }
    // nginx has decoded and normalised r.uri; a path that was spelled in another way is no address.
    const variables = r.variables;
    if (!variables.media_as_sent) {
        return 'not_found';
    }
    const known = sessionOf(r, variables);
    if (known.refusal) {
        return known.refusal;
    }
    const now = Date.now();
    if (now >= known.expires * 1000) {
        return 'grant_expired';
    }
    const age = now - state().get('loaded');
    if (!(age <= delivery.stale_ms && age >= -delivery.stale_ms)) {
        return 'unavailable';
    }
    if (ended().has(known.session)) {
        return 'session_ended';
    }
    const name = variables.media_name;
    if (known.last !== undefined && !isInPreview(name, known.last)) {
        return 'preview_ended';
    }
    const number = numberOf(name);
    variables.media_note = number < 0 ? known.session : known.session + ':' + number;
    // An object of a bucket has a tag of its own, which nginx knows. A segment does not change.
    if (number < 0 && delivery.root && delivery.changing[variables.media_extension]) {
        return conditionsOf(r, variables.media_file);
    }
    return '';
}

// Return the number of a segment, or -1. A regular expression would take longer.
function numberOf(name) {
    if (!name.endsWith('.m4s')) {
        return -1;
    }
    const digits = name.slice(name.lastIndexOf('/') + 1, -4), number = Number(digits);
    return digits.length < 6 && number >= 0 && String(number) === digits && number % 1 === 0 ? number : -1;
}

// Return the session and the expiry of a genuine grant of this video and client, or the refusal.
// Genuine ones are kept in shared memory: their HMACs are computed once for each client.
function sessionOf(r, variables) {
    // Grant, video, version, address and agent. It is empty for an agent with bytes outside ASCII, two of
    // which could be one text here, and for an id in upper case, whose file has another name.
    const key = variables.media_key;
    const kept = key ? ngx.shared.vod_grants.get(key) : undefined;
    if (kept !== undefined) {
        const space = kept.indexOf(' ', 32), isWhole = space < 0;
        return {
            session: kept.slice(0, 32),
            expires: Number(isWhole ? kept.slice(32) : kept.slice(32, space)),
            last: isWhole ? undefined : Number(kept.slice(space + 1)),
        };
    }
    const grant = variables.media_grant, video = variables.media_video;
    // The grant of a preview is longer, and opens one version alone (grants.py).
    variables.media_file = video.toLowerCase() + '/' + variables.media_name;
    const isPreview = grant.length === 72, version = isPreview ? variables.media_name.split('/')[0] : '';
    if (!/^[A-Za-z0-9_-]{64}(?:[A-Za-z0-9_-]{8})?$/.test(grant)) {
        return {refusal: 'grant_invalid'};
    }
    const length = isPreview ? 38 : 32;
    const raw = Buffer.from(grant, 'base64url'), payload = raw.slice(0, length);
    if (!isSame(keyed(isPreview ? 'preview' : 'grant', payload).slice(0, 16), raw.slice(length))) {
        return {refusal: 'grant_invalid'};
    }
    const expires = payload.readUInt32BE(16);
    if (Date.now() >= expires * 1000) {
        return {refusal: 'grant_expired'};
    }
    const id = Buffer.from(video.replace(/-/g, ''), 'hex');
    const tag = isPreview ? keyed('version', Buffer.concat([id, Buffer.from(version)])) : keyed('video', id);
    if (!isSame(payload.slice(26, 32), tag.slice(0, 6))) {
        return {refusal: 'wrong_video'};
    }
    if (delivery.binding !== 'none' && !isOfClient(r, payload)) {
        return {refusal: 'wrong_device'};
    }
    const session = payload.slice(0, 16).toString('hex');
    const last = isPreview ? payload.readUIntBE(32, 3) : undefined;
    if (key) {
        ngx.shared.vod_grants.set(key, session + expires + (isPreview ? ' ' + last : ''));
    }
    return {session: session, expires: expires, last: last};
}

// Whether a preview opens a file (previews.is_open). Its texts are the web server's to cut.
function isInPreview(path, last) {
    const name = path.split('/').slice(1).join('/');
    const segment = /(?:^|\/)([1-9]\d{0,4})\.m4s$/.exec(name);
    return segment ? Number(segment[1]) <= last : name === delivery.poster || name.endsWith('/init.mp4');
}

// Whether the modes "device" and "network" accept this client.
function isOfClient(r, payload) {
    const agent = keyed('device', utf8OfLatin1(r.rawVariables.http_user_agent));
    const sameDevice = isSame(payload.slice(20, 23), agent.slice(0, 3));
    if (sameDevice && delivery.binding === 'device') {
        return true;
    }
    const network = keyed('network', networkOf(r.rawVariables.binary_remote_addr));
    const sameNetwork = isSame(payload.slice(23, 26), network.slice(0, 3));
    return sameNetwork && (sameDevice || delivery.binding === 'device');
}

function keyed(label, message) {
    const hash = crypto.createHmac('sha256', Buffer.from(delivery.key, 'base64'));
    return hash.update(label + '\0').update(message).digest();
}

// Compare without telling by the time where the first difference is.
function isSame(a, b) {
    let difference = a.length ^ b.length;
    for (let i = 0; i < a.length; i++) {
        difference |= a[i] ^ b[i];
    }
    return difference === 0;
}

// The first 500 characters of the user agent, read as Latin-1, in UTF-8: as the API reads it.
function utf8OfLatin1(bytes) {
    let text = '';
    for (let i = 0; bytes && i < bytes.length && i < 500; i++) {
        text += String.fromCharCode(bytes[i]);
    }
    return text;
}

// The first address of the client's network, as Python writes it: IPv4 /24, IPv6 /48.
function networkOf(bytes) {
    if (bytes.length === 16 && bytes.slice(0, 12).toString('hex') === '00000000000000000000ffff') {
        bytes = bytes.slice(12);
    }
    if (bytes.length === 4) {
        return [bytes[0], bytes[1], bytes[2], 0].join('.');
    }
    if (bytes.length !== 16) {
        return 'unix:';
    }
    const groups = [0, 2, 4].map((i) => bytes.readUInt16BE(i).toString(16));
    while (groups.length && groups[groups.length - 1] === '0') {
        groups.pop();
    }
    return groups.join(':') + '::';
}

// --- conditions and ranges that nginx reads otherwise -----------------------------------------------

// Texts may change twice in a second, so they get a tag of the microsecond; nginx's own has seconds.
function conditionsOf(r, file) {
    let facts;
    try {
        facts = fs.statSync(delivery.root + '/' + file);
    } catch (e) {
        return '';  // nginx says what is wrong with it.
    }
    const tag = '"' + facts.size.toString(16) + '-' + Math.round(facts.mtimeMs * 1000).toString(16) + '"';
    const tags = (name) => (r.variables[name] || '').split(',').map((each) => each.trim());
    r.variables.media_tag = tag;
    if (r.variables.http_if_match !== undefined) {
        const given = tags('http_if_match');
        if (!given.includes(tag) && !given.includes('*')) {
            return 'precondition_failed';
        }
    }
    const unchanged = tags('http_if_none_match').map((each) => each.replace(/^W\//, ''));
    if (unchanged.includes(tag) || unchanged.includes('*')) {
        return 'not_modified';
    }
    if (facts.size === 0 && r.variables.media_ranged) {
        return 'range_not_satisfiable';
    }
    return '';
}

// "1" if Range is one well-formed range of a GET: only then nginx reads it, all others get the whole.
function ranged(r) {
    const match = /^bytes=(\d{0,18})-(\d{0,18})$/i.exec(r.headersIn.Range || '');
    if (r.method !== 'GET' || !match || !(match[1] || match[2])) {
        return '';
    }
    const first = match[1].replace(/^0+/, ''), last = match[2].replace(/^0+/, '');
    const isReversed = match[1] && match[2]
        && (last.length < first.length || last.length === first.length && last < first);
    return isReversed ? '' : '1';
}

// --- refusals -------------------------------------------------------------------------------------

function refuse(r) {
    answer(r, r.variables.media_refusal);
}

// What nginx itself did not find, or may not read. The whole folder may be away, too.
function missing(r) {
    let isThere = !delivery.root;  // bucket.js has looked whether the bucket is there
    try {
        isThere = isThere || fs.statSync(delivery.root).isDirectory();
    } catch (e) {
        isThere = false;
    }
    answer(r, isThere ? 'not_found' : 'unavailable');
}

const changed = (r) => answer(r, 'precondition_failed');
const outside = (r) => answer(r, 'range_not_satisfiable');
const broken = (r) => answer(r, 'unavailable');

function answer(r, code) {
    const refusal = delivery.answers[code];
    if (refusal.body) {  // counted for the next exchange
        state().incr('refused', 1, 0);
        state().incr('refused ' + code, 1, 0);
    }
    Object.keys(refusal.headers).forEach((name) => {
        r.headersOut[name] = refusal.headers[name];
    });
    if (code === 'range_not_satisfiable' && !r.headersOut['Content-Range']) {
        r.headersOut['Content-Range'] = 'bytes */0';  // only an empty text gets here without one
    }
    if (refusal.body) {
        r.headersOut['Content-Type'] = 'application/json';
        delete r.headersOut.ETag;  // It would be the tag of the file.
    }
    if (code === 'not_modified') {
        r.headersOut['Accept-Ranges'] = 'bytes';
        r.headersOut.ETag = r.variables.media_tag;
        r.headersOut['Cache-Control'] = r.variables.media_cache;
    }
    r.status = refusal.status;  // return() alone would keep the first line of a bucket's answer
    r.return(refusal.status, refusal.body);
}

// --- what was sent ----------------------------------------------------------------------------------

// Headers are about to go: from here on the client may have bytes of the segment.
function begun(r) {
    const variables = r.variables, status = variables.status;
    if (variables.media_ranged) {
        // nginx names Accept-Ranges in a whole answer alone; whether this one is whole follows If-Range.
        const condition = r.headersIn['If-Range'];
        if (!condition || condition === (variables.media_tag || r.headersOut.ETag)) {
            r.headersOut['Accept-Ranges'] = 'bytes';
        }
    }
    if (status === '200' || status === '206') {
        const note = variables.media_note;
        keep((note.length > 32 && r.method === 'GET' ? 'b' : 't') + note.slice(0, 90));
    }
}

// The request has ended. Evaluated as the condition of an access log that is never written.
function noted(r) {
    const variables = r.variables, note = variables.media_note, status = variables.status;
    if (r.method !== 'GET' || !note || note.length <= 32 || status !== '200' && status !== '206') {
        return '';
    }
    const length = Number(r.headersOut['Content-Length']);
    const isWhole = variables.request_completion === 'OK';
    const sent = isWhole ? length : Math.min(length, Number(variables.body_bytes_sent));
    if (status === '200' && isWhole && sent) {
        keep('s' + note);
    } else if (sent) {
        const size = status === '206' ? Number(r.headersOut['Content-Range'].split('/')[1]) : length;
        if (ngx.shared.vod_parts.incr(note, sent, 0) >= size) {
            ngx.shared.vod_parts.delete(note);
            keep('s' + note);
        }
    }
    return '';
}

// Keep a note for exchange(). Its value says nothing, so that it does not matter who writes it last.
function keep(note) {
    try {
        notes().add(note, '');
    } catch (e) {  // The zone is full: the note is lost, and counted.
        state().incr('lost', 1, 0);
    }
}

// --- the exchange with the web server -----------------------------------------------------------------

// Exchange five times a second until the next run is due. nginx ends a run that is not over by then, with
// the question that it waits for: so a run is several exchanges, and nothing is lost with its last one.
async function exchange() {
    const until = Date.now() + delivery.run_ms - delivery.exchange_ms;
    for (;;) {
        await exchangeOnce();
        if (Date.now() + delivery.exchange_ms > until) {
            return;
        }
        await new Promise((resolve) => setTimeout(resolve, delivery.exchange_ms));
    }
}

async function exchangeOnce() {
    const began = Date.now();
    const isFull = began - (state().get('full') || 0) >= delivery.full_ms;
    const taken = notes().keys(delivery.batch);
    const lost = state().get('lost') || 0;
    const since = isFull ? null : state().get('since');
    const refused = refusals();
    const body = JSON.stringify({
        since: since === undefined ? null : since, notes: taken, lost: lost, refused: refused,
    });
    const count = delivery.web.length, first = state().get('web') || 0;
    for (let i = 0; i < count; i++) {
        const number = (first + i) % count;
        try {
            const reply = await ngx.fetch(delivery.web[number] + delivery.path, {
                method: 'POST', body: body,
                headers: {Authorization: 'Bearer ' + delivery.secret, 'Content-Type': 'application/json'},
            });
            if (reply.status !== 200) {
                throw new Error('status ' + reply.status);
            }
            take(await reply.json(), began, since === null || since === undefined);
            taken.forEach((note) => notes().delete(note));
            if (lost) {
                state().incr('lost', -lost, 0);
            }
            Object.keys(refused).forEach((code) => {
                state().incr('refused', -refused[code], 0);
                state().incr('refused ' + code, -refused[code], 0);
            });
            state().set('web', number);
            if (state().get('failing')) {
                state().set('failing', 0);
                ngx.log(ngx.WARN, 'the ended sessions are up to date again');
            }
            return;
        } catch (e) {
            if (!state().get('failing')) {
                state().set('failing', 1);
                ngx.log(ngx.ERR, 'the ended sessions cannot be loaded from ' + delivery.web[number] + ': ' + e);
            }
        }
    }
}

// Return how many requests were refused since the last exchange that succeeded, by code.
function refusals() {
    const found = {};
    if (state().get('refused')) {
        Object.keys(delivery.answers).forEach((code) => {
            const number = state().get('refused ' + code);
            if (number) {
                found[code] = number;
            }
        });
    }
    return found;
}

// Keep the ended sessions. If the zone is full this throws, and the age of the last load grows: then
// everything is refused, instead of some ended sessions being served.
function take(reply, began, wasFull) {
    const known = ended();
    reply.ended.forEach((each) => known.add(each[0], '', each[1] * 1000));
    state().set('since', reply.now);
    state().set('loaded', began);
    if (wasFull) {
        state().set('full', began);
    }
}

export default {
    judge, ranged, refuse, missing, changed, outside, broken, begun, noted, exchange,
};
