"""A server of asyncssh's on a loopback port of the system's choice, which it prints: HOST_KEY AUTHORIZED_KEYS HABITS (JSON)."""
import asyncio, json, sys

import asyncssh
import asyncssh.connection as connection
from asyncssh.packet import Boolean, String, UInt32

host_key, authorized_keys, habits = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])

MSG_DISCONNECT, MSG_IGNORE, MSG_UNIMPLEMENTED, MSG_DEBUG, MSG_SERVICE_ACCEPT, MSG_EXT_INFO = 1, 2, 3, 4, 6, 7
MSG_USERAUTH_FAILURE, MSG_USERAUTH_SUCCESS, MSG_USERAUTH_BANNER = 51, 52, 53
MSG_GLOBAL_REQUEST, MSG_REQUEST_SUCCESS, MSG_REQUEST_FAILURE = 80, 81, 82
MSG_CHANNEL_OPEN, MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE = 90, 91, 92
MSG_CHANNEL_WINDOW_ADJUST, MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA = 93, 94, 95
MSG_CHANNEL_CLOSE, MSG_CHANNEL_REQUEST, MSG_CHANNEL_SUCCESS = 97, 98, 99

NO, YES = Boolean(False), Boolean(True)


def opened(kind, *rest):
    return (MSG_CHANNEL_OPEN, String(kind), UInt32(77), UInt32(1000), UInt32(1000), *rest)


# What is said once after the login.
AFTER_LOGIN = {
    'debug': (MSG_DEBUG, YES, String('debug words'), String('')),
    'debug without language': (MSG_DEBUG, NO, String('debug words')),
    'ignore without data': (MSG_IGNORE,),
    'unimplemented': (MSG_UNIMPLEMENTED, UInt32(7)),
    'unimplemented without number': (MSG_UNIMPLEMENTED,),
    'ping': (192, String('hello')),
    'an unknown message': (150, String('x')),
    'ext-info': (MSG_EXT_INFO, UInt32(1), String('server-sig-algs'), String('rsa-sha2-512')),
    'ext-info of bytes': (MSG_EXT_INFO, UInt32(2), String('no-flow-control'), String('p'), String('x@y'), String(b'\x00\xff')),
    'an unknown global request': (MSG_GLOBAL_REQUEST, String('weird@example.com'), YES, String('data')),
    'an unknown global request without reply': (MSG_GLOBAL_REQUEST, String('weird@example.com'), NO),
    'host keys that are none': (MSG_GLOBAL_REQUEST, String('hostkeys-00@openssh.com'), NO, String('not a key'), String(b'\x00\x00\x00\x0bssh-ed25519')),
    'host keys that are cut short': (MSG_GLOBAL_REQUEST, String('hostkeys-00@openssh.com'), NO, UInt32(5000)),
    'no host keys': (MSG_GLOBAL_REQUEST, String('hostkeys-00@openssh.com'), NO),
    'opens session': opened('session'),
    'opens auth-agent': opened('auth-agent@openssh.com'),
    'opens x11': opened('x11', String('1.2.3.4'), UInt32(5)),
    'opens forwarded-tcpip unasked': opened('forwarded-tcpip', String('localhost'), UInt32(22), String('1.2.3.4'), UInt32(5)),
    'opens what is unknown': opened('foo@bar', String('blah')),
    'data on an unknown channel': (MSG_CHANNEL_DATA, UInt32(999), String('x')),
    'close of an unknown channel': (MSG_CHANNEL_CLOSE, UInt32(999)),
    'window of an unknown channel': (MSG_CHANNEL_WINDOW_ADJUST, UInt32(999), UInt32(1)),
    'confirms an unknown channel': (MSG_CHANNEL_OPEN_CONFIRMATION, UInt32(999), UInt32(1), UInt32(1), UInt32(1)),
    'success unasked': (MSG_REQUEST_SUCCESS,),
    'failure unasked': (MSG_REQUEST_FAILURE,),
    'success on an unknown channel': (MSG_CHANNEL_SUCCESS, UInt32(999)),
    'authenticated again': (MSG_USERAUTH_SUCCESS,),
    'refused late': (MSG_USERAUTH_FAILURE, String('publickey'), NO),
    'banner late': (MSG_USERAUTH_BANNER, String('late banner'), String('')),
    'service again': (MSG_SERVICE_ACCEPT, String('ssh-userauth')),
}

# What is said on each channel, right behind its confirmation.
ON_CHANNEL = {
    'channel: keepalive': lambda c: (MSG_CHANNEL_REQUEST, c, String('keepalive@openssh.com'), YES),
    'channel: eow': lambda c: (MSG_CHANNEL_REQUEST, c, String('eow@openssh.com'), NO),
    'channel: exit-status': lambda c: (MSG_CHANNEL_REQUEST, c, String('exit-status'), NO, UInt32(0)),
    'channel: exit-signal cut short': lambda c: (MSG_CHANNEL_REQUEST, c, String('exit-signal'), NO, String('TERM')),
    'channel: pty-req': lambda c: (MSG_CHANNEL_REQUEST, c, String('pty-req'), YES, String('x')),
    'channel: stderr': lambda c: (MSG_CHANNEL_EXTENDED_DATA, c, UInt32(1), String('stderr words')),
    'channel: extended data of another type': lambda c: (MSG_CHANNEL_EXTENDED_DATA, c, UInt32(2), String('what')),
    'channel: window of 0': lambda c: (MSG_CHANNEL_WINDOW_ADJUST, c, UInt32(0)),
    'channel: window of 2^32-1': lambda c: (MSG_CHANNEL_WINDOW_ADJUST, c, UInt32(0xffffffff)),
    'channel: data without bytes': lambda c: (MSG_CHANNEL_DATA, c, String('')),
    'channel: success': lambda c: (MSG_CHANNEL_SUCCESS, c),
}

# What is odd in answers that it gives anyway.
ON_ANSWERS = ['open failure without language', 'open failure without words', 'banner without language']

if habits == 'odd things':
    print(json.dumps([*AFTER_LOGIN, *ON_CHANNEL, *ON_ANSWERS]))
    sys.exit()
# A user may be called as an odd thing, with _ for blanks: then it is said to them alone.
BY_USER = {name.replace(' ', '_'): name for name in [*AFTER_LOGIN, *ON_CHANNEL, *ON_ANSWERS]}


def odd_of(conn):
    return habits.get('odd') or BY_USER.get(conn.get_extra_info('username'))


confirm = connection.SSHConnection.send_channel_open_confirmation
fail = connection.SSHConnection.send_channel_open_failure


def confirm_and_say(self, send_chan, *rest):
    confirm(self, send_chan, *rest)
    if odd_of(self) in ON_CHANNEL:
        self.send_packet(*ON_CHANNEL[odd_of(self)](UInt32(send_chan)))


def fail_oddly(self, send_chan, code, reason, lang):
    odd = odd_of(self)
    if odd not in ON_ANSWERS[:2]:
        return fail(self, send_chan, code, reason, lang)
    words = (String(reason),) if odd == ON_ANSWERS[0] else ()
    self.send_packet(MSG_CHANNEL_OPEN_FAILURE, UInt32(send_chan), UInt32(code), *words)


connection.SSHConnection.send_channel_open_confirmation = confirm_and_say
connection.SSHConnection.send_channel_open_failure = fail_oddly

if 'keepalive' in habits:
    ordinary = connection.SSHConnection._process_global_request

    def on_global_request(self, packet_type, packet_id, packet):
        name = packet.get_full_payload()[1:]
        name = name[4:4 + int.from_bytes(name[:4], 'big')]
        if name != b'keepalive@openssh.com':
            return ordinary(self, packet_type, packet_id, packet)
        print('keepalive', flush=True)
        packet.get_remaining_payload()
        if habits['keepalive'] == 'unimplemented':
            self.send_packet(MSG_UNIMPLEMENTED, UInt32(packet_id))

    for kind in (connection.SSHConnection, connection.SSHServerConnection):
        kind._packet_handlers = {**kind._packet_handlers, MSG_GLOBAL_REQUEST: on_global_request}


def disconnect(conn):
    bye = habits['disconnect']
    language = (String(''),) if bye.get('language', True) else ()
    conn.send_packet(MSG_DISCONNECT, UInt32(bye['code']), String(bye['text']), *language)
    asyncio.get_running_loop().call_later(0.1, conn.abort)


class Server(asyncssh.SSHServer):
    def connection_made(self, conn):
        self.conn = conn
        print('connection', flush=True)
        if 'signatureAlgorithms' in habits:
            conn._sig_algs = [name.encode() for name in habits['signatureAlgorithms']]

    def connection_lost(self, exc):
        print('lost', repr(exc), flush=True)

    def begin_auth(self, username):
        if (habits.get('odd') or BY_USER.get(username)) == ON_ANSWERS[2]:
            self.conn.send_packet(MSG_USERAUTH_BANNER, String('no language'))
        if habits.get('disconnect', {}).get('when') == 'login':
            asyncio.get_running_loop().call_soon(disconnect, self.conn)
        return True

    def auth_completed(self):
        print('login', flush=True)
        odd = odd_of(self.conn)
        if odd in AFTER_LOGIN:
            asyncio.get_running_loop().call_later(0.2, self.say, odd)
        if habits.get('disconnect', {}).get('when') == 'later':
            asyncio.get_running_loop().call_later(0.5, disconnect, self.conn)

    def say(self, odd):
        self.conn.send_packet(*AFTER_LOGIN[odd])
        print('said', odd, flush=True)

    def connection_requested(self, dest_host, dest_port, orig_host, orig_port):
        if dest_port == 1:
            raise asyncssh.ChannelOpenError(2, 'Connection refused')
        return True

    def server_requested(self, listen_host, listen_port):
        return True

    def unix_connection_requested(self, dest_path):
        return True

    def unix_server_requested(self, listen_path):
        return True


OPTIONS = {
    'rekeyBytes': 'rekey_bytes',
    'rekeySeconds': 'rekey_seconds',
    'version': 'server_version',
    'ciphers': 'encryption_algs',
    'macs': 'mac_algs',
    'kex': 'kex_algs',
    'compression': 'compression_algs',
}


async def main():
    options = {option: habits[name] for name, option in OPTIONS.items() if name in habits}
    acceptor = await asyncssh.create_server(
        Server, '127.0.0.1', 0, server_host_keys=[host_key], authorized_client_keys=authorized_keys, **options)
    print('listening on', acceptor.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
