// Objects of a bucket inside nginx (STORAGE=s3): requests that are signed, answers that are ours.
//
// nginx asks for a signature only when it has no copy of an object that it may send. The facts are
// `delivery.bucket` (bucket.facts).

import crypto from 'crypto';
import media from 'delivery.js';

const NO_BYTES = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const SIGNED = 'host;x-amz-content-sha256;x-amz-date';
// The headers of an object's answer that go out. All others are the bucket's affair. Most of them nginx
// hides itself (bucket.HIDDEN), because a look at each takes longer than the rest of the check.
const SENT = {'content-length': true, 'content-range': true, 'content-type': true, 'etag': true};

// --- signatures (AWS Signature Version 4) -----------------------------------------------------------

// The time of the request, as 20261127T210000Z. nginx asks once for each request.
function date() {
    return new Date().toISOString().replace(/[-:]|\.\d+/g, '');
}

const authorization = (r) => signature(delivery.bucket.versions + r.variables.media_file, r.variables.bucket_date);
const authorizationOfMark = (r) => signature(delivery.bucket.mark, r.variables.bucket_date);

// The paths have no character that would be encoded, and the requests neither query nor body.
function signature(path, at) {
    const facts = delivery.bucket, scope = [at.slice(0, 8), facts.region, 's3', 'aws4_request'];
    const headers = 'host:' + facts.host + '\nx-amz-content-sha256:' + NO_BYTES + '\nx-amz-date:' + at + '\n';
    const request = ['GET', path, '', headers, SIGNED, NO_BYTES].join('\n');
    const digest = crypto.createHash('sha256').update(request).digest('hex');
    const text = ['AWS4-HMAC-SHA256', at, scope.join('/'), digest].join('\n');
    let key = 'AWS4' + facts.secret_key;
    scope.forEach((each) => {
        key = keyed(key, each).digest();
    });
    return 'AWS4-HMAC-SHA256 Credential=' + facts.access_key + '/' + scope.join('/')
        + ', SignedHeaders=' + SIGNED + ', Signature=' + keyed(key, text).digest('hex');
}

function keyed(key, text) {
    return crypto.createHmac('sha256', key).update(text);
}

// --- answers ------------------------------------------------------------------------------------------

// Headers are about to go: keep those of the object that our answer has, and its type is ours. A request
// may have waited for the bucket, and its session ended meanwhile: the error closes its connection.
function begun(r) {
    if (ngx.shared.vod_ended.has(r.variables.media_note.slice(0, 32))) {
        throw new Error('the session has ended');
    }
    const headers = r.headersOut, names = Object.keys(headers);
    for (let i = 0; i < names.length; i++) {
        if (!SENT[names[i].toLowerCase()]) {
            delete headers[names[i]];
        }
    }
    if (r.variables.status !== '304') {
        headers['Content-Type'] = delivery.bucket.types[r.variables.media_extension];
    }
    media.begun(r);
}

// The bucket has no such object; or it is not there as a whole, or another one. Its mark tells.
async function missing(r) {
    const reply = await r.subrequest('/internal/bucket');
    if (reply.status === 200) {
        media.missing(r);
    } else {
        failed(r, reply.status);
    }
}

// The codes that nginx gives a condition or a range of the client. From the bucket they are failures.
const changed = (r) => ofClient(r, '412', media.changed);
const outside = (r) => ofClient(r, '416', media.outside);
const refuse = (r) => r.variables.media_refusal ? media.refuse(r) : broken(r);
const broken = (r) => failed(r, Number(lastStatus(r)) || 502);

function ofClient(r, code, answer) {
    return lastStatus(r) === code ? broken(r) : answer(r);
}

function lastStatus(r) {
    return (r.variables.upstream_status || '').split(/[ ,:]+/).pop();
}

// Refuse with 503, and note the status for report(). A line for this request would name its grant.
function failed(r, status) {
    const state = ngx.shared.vod_state;
    state.incr('bucket_failures', 1, 0);
    state.set('bucket_status', status);
    delete r.headersOut['WWW-Authenticate'];  // nginx passes on that of a 401
    media.broken(r);
}

// Write a line about the failures of the last minute, if there were any.
function report() {
    const state = ngx.shared.vod_state, failures = state.get('bucket_failures') || 0;
    if (failures) {
        state.incr('bucket_failures', -failures, 0);
        ngx.log(ngx.ERR, failures + ' requests were refused because the bucket failed; its last status was '
            + state.get('bucket_status'));
    }
}

export default {
    date, authorization, authorizationOfMark, begun, missing, changed, outside, refuse, broken, report,
};
