DBSERVER_INDEX=$($CLUSTERCONTROL cc:clusterprepare dbserver)
(
  echo 'Waiting for web server to accept connections...'
  while ! timeout 1 bash -c "cat < /dev/null > /dev/tcp/$PUBLIC_HOST_SLASH_PORT"; do
    echo 'Still waiting...'
    sleep 1
  done
  echo 'Web server is up!'
  $CLUSTERCONTROL cc:heartbeat --once
  ($CLUSTERCONTROL cc:watchkey ; apachectl graceful-stop) &
  ($CLUSTERCONTROL cc:heartbeat ; apachectl graceful-stop ; sleep 5 ; apachectl stop) &
  ($CLUSTERCONTROL cc:clusterwatch dbserver $DBSERVER_INDEX apachectl graceful) &
) &
apache2 -D FOREGROUND
$CLUSTERCONTROL cc:removekey
exit 0
