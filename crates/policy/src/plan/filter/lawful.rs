//! What lawful SIP is made of, so that the filter is built on what it is not made of.

use gate::filter::FOLD;

/// Headers and values as phones, trunks and servers of all makes send them. Only how often a group of bytes occurs
/// matters: a poor choice costs time, never correctness.
const SAMPLES: [&str; 4] = [
    "REGISTER sip:pbx.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-524287-1---7c2d;rport\r\n\
     Max-Forwards: 70\r\nContact: \"Reception\" <sip:1001@192.0.2.10:5060;transport=udp;ob>;expires=3600;+sip.instance=\
     \"<urn:uuid:00000000-0000-1000-8000-000000000000>\";reg-id=1;q=1.0\r\nTo: <sip:1001@pbx.example.com>\r\n\
     From: \"Reception\" <sip:1001@pbx.example.com>;tag=1928301774\r\nCall-ID: 3848276298220188511@192.0.2.10\r\n\
     CSeq: 2 REGISTER\r\nExpires: 3600\r\nAllow: INVITE, ACK, CANCEL, BYE, NOTIFY, REFER, MESSAGE, OPTIONS, INFO, \
     SUBSCRIBE, PRACK, UPDATE, PUBLISH\r\nSupported: replaces, norefersub, extended-refer, timer, outbound, path, gruu\r\n\
     Authorization: Digest username=\"1001\",realm=\"asterisk\",nonce=\"1700000000/0123456789abcdef\",\
     uri=\"sip:pbx.example.com\",response=\"89abcdef01234567\",algorithm=MD5,cnonce=\"76543210\",\
     opaque=\"fedcba98\",qop=auth,nc=00000001\r\nAccept-Language: en\r\nUser-Agent: Yealink SIP-T46S 66.85.0.5\r\n\
     Allow-Events: presence, message-summary, dialog, refer, hold, talk\r\nContent-Length: 0\r\n\r\n",
    "INVITE sip:+15551234567@198.51.100.5:5060;user=phone SIP/2.0\r\nRecord-Route: <sip:198.51.100.9;lr;ftag=as12>\r\n\
     Route: <sip:198.51.100.9;transport=tcp;lr>\r\nv: SIP/2.0/TCP 198.51.100.7;branch=z9hG4bK1f2e;received=192.0.2.1\r\n\
     f: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=gK0c\r\nt: <sip:+15551234567@198.51.100.5>\r\n\
     P-Asserted-Identity: \"Sales\" <sip:+15557654321@carrier.example.net>\r\nPrivacy: id\r\nDate: Wed, 01 Jan 2025 \
     12:00:00 GMT\r\nMin-SE: 90\r\nSession-Expires: 1800;refresher=uas\r\nRequire: 100rel\r\nX-Asterisk-HangupCause: Normal \
     Clearing\r\nUser-Agent: Grandstream GXP2170 1.0.11.6\r\nServer: FPBX-17.0.19(22.1.0)\r\nUser-Agent: Asterisk PBX \
     22.1.0\r\nUser-Agent: Cisco/SPA504G-7.6.2c\r\nUser-Agent: Linphone/5.2.5 (belle-sip/5.3)\r\nUser-Agent: \
     MicroSIP/3.21.3\r\nUser-Agent: Zoiper rv2.10.20.4\r\nUser-Agent: PolycomVVX-VVX_411-UA/6.4.6\r\nUser-Agent: \
     kamailio (5.8.0 (x86_64/linux))\r\nUser-Agent: FreeSWITCH-mod_sofia/1.10.11\r\nUser-Agent: snomD785/10.1\r\n\
     User-Agent: Fanvil X6U 2.12\r\nUser-Agent: Sonus SBC\r\nContent-Type: application/sdp\r\nContent-Disposition: \
     session\r\nContent-Length: 400\r\n\r\nv=0\r\no=- 1700000000 1700000001 IN IP4 198.51.100.7\r\ns=Asterisk\r\n\
     c=IN IP4 198.51.100.7\r\nb=AS:84\r\nt=0 0\r\nm=audio 10000 RTP/AVP 9 8 0 18 101\r\na=rtpmap:9 G722/8000\r\n\
     a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n\
     a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
     a=ptime:20\r\na=maxptime:150\r\na=sendrecv\r\na=rtcp:10001 IN IP4 198.51.100.7\r\na=rtcp-mux\r\na=crypto:1 \
     AES_CM_128_HMAC_SHA1_80 inline:abcdefghijklmnopqrstuvwxyz0123456789ABCD\r\na=candidate:1 1 UDP 2130706431 \
     198.51.100.7 10000 typ host\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789\r\na=fingerprint:SHA-256 00:11\r\n\
     a=setup:actpass\r\nm=video 10002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 198.51.100.5:5060;branch=z9hG4bKPj0123;rport=5060;received=203.0.113.1\r\n\
     SIP/2.0 100 Trying\r\nSIP/2.0 180 Ringing\r\nSIP/2.0 183 Session Progress\r\nSIP/2.0 401 Unauthorized\r\n\
     SIP/2.0 407 Proxy Authentication Required\r\nSIP/2.0 404 Not Found\r\nSIP/2.0 403 Forbidden\r\n\
     SIP/2.0 486 Busy Here\r\nSIP/2.0 487 Request Terminated\r\nSIP/2.0 503 Service Unavailable\r\n\
     WWW-Authenticate: Digest realm=\"asterisk\",nonce=\"0123\",opaque=\"4567\",algorithm=MD5,qop=\"auth\"\r\n\
     Proxy-Authorization: Digest username=\"1001\"\r\nAccept: application/sdp, application/dtmf-relay, text/plain, \
     application/simple-message-summary, application/pidf+xml\r\nCSeq: 102 OPTIONS\r\nCSeq: 1 ACK\r\nCSeq: 3 BYE\r\n\
     CSeq: 4 SUBSCRIBE\r\nCSeq: 5 NOTIFY\r\nReason: Q.850;cause=16\r\nRetry-After: 30\r\nWarning: 399\r\n",
    "NOTIFY sip:1001@192.0.2.10:5060 SIP/2.0\r\nEvent: presence\r\nSubscription-State: active;expires=300\r\n\
     MESSAGE sip:1001@192.0.2.10:5060 SIP/2.0\r\nContent-Type: text/plain\r\n\r\nHello, please call me back later.\r\n\
     Event: dialog\r\n\r\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
     entity=\"sip:1001@pbx.example.com\"><tuple id=\"t1\"><status><basic>open</basic></status><note>On the phone</note>\
     </tuple></presence>\r\nMessages-Waiting: yes\r\nVoice-Message: 1/0 (0/0)\r\nRefer-To: <sip:1002@pbx.example.com>\r\n\
     Referred-By: <sip:1003@pbx.example.com>\r\nReplaces: 1;to-tag=2;from-tag=3\r\nDiversion: <sip:100@example.com>\r\n",
];

/// [`SAMPLES`], folded as the filter folds.
pub(super) struct Lawful {
    text: Vec<u8>,
}

impl Lawful {
    pub(super) fn new() -> Self {
        Self { text: SAMPLES.concat().bytes().map(|byte| byte | FOLD).collect() }
    }

    /// How often folded bytes occur.
    pub(super) fn count(&self, bytes: &[u8]) -> usize {
        memchr::memmem::find_iter(&self.text, bytes).count()
    }
}
