#!/bin/sh
# A CA, and for each site a certificate in a volume that this site alone sees. What is there already stays.
set -eu
[ -e /pki/authority/ca.pem ] || carrick pki ca --out /pki/authority
for site in east west; do
  [ -e "/pki/$site/$site.pem" ] ||
    carrick pki cert --ca /pki/authority --out "/pki/$site" --name "$site" --role link --host "$site"
  cp /pki/authority/ca.pem "/pki/$site/"
  # The node's user.
  chown -R 10001:10001 "/pki/$site"
done
