"""A server of Twisted Conch's on a loopback port of the system's choice, which it prints: HOST_KEY AUTHORIZED_KEYS."""
import struct, sys

from twisted.conch import avatar, checkers
from twisted.conch.ssh import factory, forwarding, keys, session
from twisted.cred import portal
from twisted.internet import reactor
from zope.interface import implementer

host_key, authorized_keys = sys.argv[1], sys.argv[2]


class Avatar(avatar.ConchUser):
    """Forwards as twisted.conch.unix does, which wants an account."""

    def __init__(self):
        avatar.ConchUser.__init__(self)
        self.listeners = {}
        self.channelLookup.update({b'session': session.SSHSession, b'direct-tcpip': forwarding.openConnectForwardingClient})

    def global_tcpip_forward(self, data):
        host, port = forwarding.unpackGlobal_tcpip_forward(data)
        made = forwarding.SSHListenForwardingFactory(self.conn, (host, port), forwarding.SSHListenServerForwardingChannel)
        try:
            listener = reactor.listenTCP(port, made, interface='127.0.0.1')
        except Exception as error:
            print(error, flush=True)
            return 0
        self.listeners[(host, port)] = listener
        return (1, struct.pack('>L', listener.getHost().port)) if port == 0 else 1

    def global_cancel_tcpip_forward(self, data):
        listener = self.listeners.pop(forwarding.unpackGlobal_tcpip_forward(data), None)
        if listener is None:
            return 0
        listener.stopListening()
        return 1

    def logout(self):
        for listener in self.listeners.values():
            listener.stopListening()


@implementer(portal.IRealm)
class Realm:
    def requestAvatar(self, avatarId, mind, *interfaces):
        print('login', flush=True)
        made = Avatar()
        return interfaces[0], made, made.logout


class Users:
    """Everybody has the same keys."""

    def __init__(self, public):
        self.public = public

    def getAuthorizedKeys(self, username):
        return self.public


class Factory(factory.SSHFactory):
    def getPublicKeys(self):
        return {b'ssh-ed25519': keys.Key.fromFile(host_key).public()}

    def getPrivateKeys(self):
        return {b'ssh-ed25519': keys.Key.fromFile(host_key)}


with open(authorized_keys, 'rb') as file:
    users = Users([keys.Key.fromString(line) for line in file if line.strip()])
entrance = portal.Portal(Realm())
entrance.registerChecker(checkers.SSHPublicKeyChecker(users))
made = Factory()
made.portal = entrance
port = reactor.listenTCP(0, made, interface='127.0.0.1')
print('listening on', port.getHost().port, flush=True)
reactor.run()
