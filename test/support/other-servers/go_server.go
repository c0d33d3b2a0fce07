// A server of Go's x/crypto/ssh on a loopback port of the system's choice, which it prints: HOST_KEY AUTHORIZED_KEYS HABITS (JSON).
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

type habits struct {
	Keepalive     string // "silence": not answered
	SilentOn      []string
	Requests      string // "unread": global requests are never taken
	NoPort        bool   // -R 0 is answered without a port
	RefusesCancel bool
	RekeyBytes    uint64
	Ciphers       []string
}

// RFC 4254 section 7.
type address struct {
	Host string
	Port uint32
}
type tcpChannel struct {
	Host       string
	Port       uint32
	OriginHost string
	OriginPort uint32
}

// OpenSSH PROTOCOL section 2.4.
type path struct{ Path string }
type unixChannel struct {
	Path      string
	Reserved  string
	Reserved2 uint32
}
type forwardedUnixChannel struct{ Path, Reserved string }

func main() {
	var how habits
	check(json.Unmarshal([]byte(os.Args[3]), &how))
	key, err := os.ReadFile(os.Args[1])
	check(err)
	signer, err := ssh.ParsePrivateKey(key)
	check(err)
	config := &ssh.ServerConfig{PublicKeyCallback: accepts(os.Args[2])}
	config.RekeyThreshold = how.RekeyBytes
	config.Ciphers = how.Ciphers
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println("listening on", listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		check(err)
		go serve(conn, config, how)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func accepts(file string) func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
	lines, err := os.ReadFile(file)
	check(err)
	return func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if strings.Contains(string(lines), base64.StdEncoding.EncodeToString(key.Marshal())) {
			return nil, nil
		}
		return nil, fmt.Errorf("unknown key")
	}
}

func serve(socket net.Conn, config *ssh.ServerConfig, how habits) {
	conn, channels, requests, err := ssh.NewServerConn(socket, config)
	if err != nil {
		fmt.Println("no login:", err)
		return
	}
	fmt.Println("login")
	listeners := map[string]net.Listener{}
	if how.Requests != "unread" {
		go func() {
			for request := range requests {
				answer(conn, request, listeners, how)
			}
		}()
	}
	for channel := range channels {
		go open(channel)
	}
	for _, listener := range listeners {
		listener.Close()
	}
}

func open(channel ssh.NewChannel) {
	network, where := "", ""
	switch channel.ChannelType() {
	case "direct-tcpip":
		var to tcpChannel
		ssh.Unmarshal(channel.ExtraData(), &to)
		network, where = "tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port)))
	case "direct-streamlocal@openssh.com":
		var to unixChannel
		ssh.Unmarshal(channel.ExtraData(), &to)
		network, where = "unix", to.Path
	default:
		channel.Reject(ssh.UnknownChannelType, "unknown channel type")
		return
	}
	socket, err := net.Dial(network, where)
	if err != nil {
		channel.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	stream, requests, err := channel.Accept()
	if err != nil {
		socket.Close()
		return
	}
	go ssh.DiscardRequests(requests)
	pump(stream, socket)
}

func answer(conn *ssh.ServerConn, request *ssh.Request, listeners map[string]net.Listener, how habits) {
	for _, name := range how.SilentOn {
		if request.Type == name {
			return
		}
	}
	switch request.Type {
	case "tcpip-forward":
		var at address
		ssh.Unmarshal(request.Payload, &at)
		listener, err := net.Listen("tcp", net.JoinHostPort(at.Host, strconv.Itoa(int(at.Port))))
		if err != nil {
			request.Reply(false, nil)
			return
		}
		port := uint32(listener.Addr().(*net.TCPAddr).Port)
		listeners[fmt.Sprintf("%s:%d", at.Host, port)] = listener
		if how.NoPort || at.Port != 0 {
			request.Reply(true, nil)
		} else {
			request.Reply(true, ssh.Marshal(&struct{ Port uint32 }{port}))
		}
		go forwarded(conn, listener, func(socket net.Conn) (string, []byte) {
			origin := socket.RemoteAddr().(*net.TCPAddr)
			return "forwarded-tcpip", ssh.Marshal(&tcpChannel{at.Host, port, origin.IP.String(), uint32(origin.Port)})
		})
	case "cancel-tcpip-forward":
		var at address
		ssh.Unmarshal(request.Payload, &at)
		cancel(request, listeners, fmt.Sprintf("%s:%d", at.Host, at.Port), how)
	case "streamlocal-forward@openssh.com":
		var at path
		ssh.Unmarshal(request.Payload, &at)
		listener, err := net.Listen("unix", at.Path)
		if err != nil {
			request.Reply(false, nil)
			return
		}
		listeners[at.Path] = listener
		request.Reply(true, nil)
		go forwarded(conn, listener, func(net.Conn) (string, []byte) {
			return "forwarded-streamlocal@openssh.com", ssh.Marshal(&forwardedUnixChannel{at.Path, ""})
		})
	case "cancel-streamlocal-forward@openssh.com":
		var at path
		ssh.Unmarshal(request.Payload, &at)
		cancel(request, listeners, at.Path, how)
	default:
		if how.Keepalive == "silence" {
			fmt.Println("silent on", request.Type)
		} else if request.WantReply {
			request.Reply(false, nil)
		}
	}
}

func cancel(request *ssh.Request, listeners map[string]net.Listener, key string, how habits) {
	listener := listeners[key]
	if listener == nil || how.RefusesCancel {
		request.Reply(false, nil)
		return
	}
	listener.Close()
	delete(listeners, key)
	request.Reply(true, nil)
}

func forwarded(conn *ssh.ServerConn, listener net.Listener, from func(net.Conn) (string, []byte)) {
	for {
		socket, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			kind, extra := from(socket)
			channel, requests, err := conn.OpenChannel(kind, extra)
			if err != nil {
				socket.Close()
				return
			}
			go ssh.DiscardRequests(requests)
			pump(channel, socket)
		}()
	}
}

// Both ways, each to its end.
func pump(channel ssh.Channel, socket net.Conn) {
	var ways sync.WaitGroup
	ways.Add(2)
	go func() {
		io.Copy(channel, socket)
		channel.CloseWrite()
		ways.Done()
	}()
	go func() {
		io.Copy(socket, channel)
		if half, ok := socket.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
		ways.Done()
	}()
	ways.Wait()
	channel.Close()
	socket.Close()
}
