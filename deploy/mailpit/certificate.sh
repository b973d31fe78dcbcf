#!/bin/bash
# Makes an authority and a certificate of its own for the mail server of docker-compose.yml, into the volume that it is told: no
# mail leaves without TLS. What is there already is kept.
set -euo pipefail
cd "$1"
if [ -e server.pem ]; then exit 0; fi
umask 077
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=ShelfWise mailpit authority' \
    -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign' -keyout ca.key -out ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=mailpit' -keyout server.key -out server.csr
printf 'subjectAltName=DNS:mailpit\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n' > server.ext
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile server.ext -out server.new
# Nobody signs with it again.
rm ca.key server.csr server.ext
chmod 644 ca.pem
# Last of all, so that what broke off is done again.
mv server.new server.pem
