# One request with this user agent; whether it is answered.
import socket
import sys
import time

ask = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ask.settimeout(3)
serial = time.time_ns()
request = (
    f"OPTIONS sip:1@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.66:5060;branch=z9hG4bK{serial}\r\n"
    f"From: <sip:a@198.51.100.1>;tag=1\r\nTo: <sip:1@198.51.100.1>\r\nCall-ID: {serial}\r\nCSeq: 1 OPTIONS\r\n"
    f"User-Agent: {sys.argv[1]}\r\nContent-Length: 0\r\n\r\n"
)
ask.sendto(request.encode(), ("198.51.100.1", 5060))
try:
    ask.recv(65535)
    print("answered")
except (TimeoutError, ConnectionError):
    print("silence")
