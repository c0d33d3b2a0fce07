"""A server of paramiko's on a loopback port of the system's choice, which it prints: HOST_KEY AUTHORIZED_KEYS HABITS (JSON)."""
import json, socket, sys, threading

import paramiko
from paramiko.packet import Packetizer

host_key, authorized_keys, habits = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
if 'rekeyBytes' in habits:
    Packetizer.REKEY_BYTES = habits['rekeyBytes']
with open(authorized_keys) as file:
    accepted = {line.split()[1] for line in file if line.strip()}


def pump(channel, sock):
    """Both ways, each to its end."""
    def one(source, target, end):
        try:
            while data := source.recv(32768):
                target.sendall(data)
        except OSError:
            pass
        try:
            end()
        except OSError:
            pass

    ways = [
        threading.Thread(target=one, args=(channel, sock, lambda: sock.shutdown(socket.SHUT_WR)), daemon=True),
        threading.Thread(target=one, args=(sock, channel, channel.shutdown_write), daemon=True),
    ]
    for way in ways:
        way.start()
    for way in ways:
        way.join()
    channel.close()
    sock.close()


def in_background(run, *args):
    threading.Thread(target=run, args=args, daemon=True).start()


class Server(paramiko.ServerInterface):
    def __init__(self, transport):
        self.transport, self.listeners, self.destinations = transport, {}, {}

    def get_allowed_auths(self, username):
        return 'publickey'

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL if key.get_base64() in accepted else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED if kind == 'session' else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_direct_tcpip_request(self, chanid, origin, destination):
        self.destinations[chanid] = destination
        return paramiko.OPEN_SUCCEEDED

    def check_port_forward_request(self, address, port):
        try:
            listener = socket.create_server(('127.0.0.1' if address == 'localhost' else address or '0.0.0.0', port))
        except OSError:
            return False
        real = listener.getsockname()[1]
        self.listeners[(address, real)] = listener
        in_background(self.accept, listener, address, real)
        return real

    def cancel_port_forward_request(self, address, port):
        listener = self.listeners.pop((address, port), None)
        if listener is not None:
            close(listener)

    def accept(self, listener, address, port):
        while True:
            try:
                sock, origin = listener.accept()
            except OSError:
                return
            in_background(self.forwarded, sock, origin, (address, port))

    def forwarded(self, sock, origin, listener):
        try:
            channel = self.transport.open_forwarded_tcpip_channel(origin, listener)
        except paramiko.SSHException:
            return sock.close()
        pump(channel, sock)


def close(listener):
    listener.shutdown(socket.SHUT_RDWR)  # or accept() would not end
    listener.close()


def direct(channel, destination):
    try:
        sock = socket.create_connection(destination, 5)
    except OSError:
        return channel.close()
    pump(channel, sock)


def serve(sock):
    transport = paramiko.Transport(sock)
    transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(host_key))
    server = Server(transport)
    try:
        transport.start_server(server=server)
    except (paramiko.SSHException, EOFError) as error:
        return print('no login:', error, flush=True)
    while transport.is_active():
        channel = transport.accept(0.2)
        destination = server.destinations.get(channel.get_id()) if channel else None
        if destination is not None:
            in_background(direct, channel, destination)
    for listener in server.listeners.values():
        close(listener)


entrance = socket.create_server(('127.0.0.1', 0))
print('listening on', entrance.getsockname()[1], flush=True)
while True:
    in_background(serve, entrance.accept()[0])
