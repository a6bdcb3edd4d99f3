#!/bin/sh

# Refresh cluster member configuration files before we start web server.
REDIS_INDEX=$(bin/clustercontrol cc:clusterprepare --cluster redis)
MYSQL_INDEX=$(bin/clustercontrol cc:clusterprepare --cluster mysql)

# Sleep a bit to give apache a chance to start up before we tell it to restart.
(sleep 10 ; bin/clustercontrol cc:clusterwatch --cluster redis --index $REDIS_INDEX apachectl graceful) &
(sleep 10 ; bin/clustercontrol cc:clusterwatch --cluster mysql --index $MYSQL_INDEX apachectl graceful) &

# Start the heartbeat generator. Returns when fails to update key (e.g. if deleted
# to make server shut down), so when it returns may as well ask apache to shut down.
(sleep 5 ; bin/clustercontrol cc:heartbeat ; apachectl graceful-stop) &

# Watch for the key disappearing, and exit immediately (don't wait for heartbeat)
(sleep 5 ; bin/clustercontrol cc:watchkey ; apachectl graceful-stop) &

# Start up web server, container will exit when this exits.
apache -D FOREGROUND

# Double check key has been removed (it will timeout anyway due to TTL)
bin/clustercontrol cc:removekey
