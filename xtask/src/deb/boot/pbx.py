# Answers everything, and counts the scanners that it hears.
import socket

pbx = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
pbx.bind(("0.0.0.0", 5060))
reached = 0
while True:
    data, peer = pbx.recvfrom(65535)
    if b"friendly-scanner" in data:
        reached += 1
        with open("/boot-trial/reached", "w") as file:
            file.write(str(reached))
    pbx.sendto(data, peer)
