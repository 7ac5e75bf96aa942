//+------------------------------------------------------------------+
//|                                                      Account.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Who is logged on in the terminal, whether it has its trade server, and what is allowed.

#ifndef BRIDGE_APP_ACCOUNT_MQH
#define BRIDGE_APP_ACCOUNT_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/Spec.mqh>
#include <Bridge/Wire/Messages.mqh>

//--- the server's name is looked at so often; the login at every turn
#define ACCOUNT_LOOK_EVERY_US 50000

//+------------------------------------------------------------------+
//| The account as it was last looked at                             |
//+------------------------------------------------------------------+
class CAccount
  {
private:
   long              m_login;           // 0 for nobody
   string            m_server;
   bool              m_connected;       // TERMINAL_CONNECTED
   long              m_next_look_us;

public:
                     CAccount(void) : m_login(0),m_server(""),m_connected(true),m_next_look_us(0) { }
   ulong             Login(void) const { return((ulong)m_login); }
   string            Server(void) const { return(m_server); }
   bool              Connected(void) const { return(m_connected); }
   // No logon before the trade server is there and somebody is logged on.
   bool              MayLogOn(void) const { return(m_connected && m_login!=0); }
   void              Look(const long now_us);
   uint              Permissions(void) const;
   void              FillHello(SHello &hello) const;
  };

void CAccount::Look(const long now_us)
  {
   m_connected=(TerminalInfoInteger(TERMINAL_CONNECTED)!=0);
   const long login=AccountInfoInteger(ACCOUNT_LOGIN);
   if(login==m_login && now_us<m_next_look_us)
      return;
   m_next_look_us=now_us+ACCOUNT_LOOK_EVERY_US;
   m_login=login;
   m_server=AccountInfoString(ACCOUNT_SERVER);
  }

uint CAccount::Permissions(void) const
  {
   uint permissions=0;
   if(m_connected)
      permissions|=(uint)PERMISSION_TERMINAL_CONNECTED;
   if(TerminalInfoInteger(TERMINAL_TRADE_ALLOWED)!=0)
      permissions|=(uint)PERMISSION_TERMINAL_TRADE_ALLOWED;
   if(MQLInfoInteger(MQL_TRADE_ALLOWED)!=0)
      permissions|=(uint)PERMISSION_MQL_TRADE_ALLOWED;
   if(AccountInfoInteger(ACCOUNT_TRADE_ALLOWED)!=0)
      permissions|=(uint)PERMISSION_ACCOUNT_TRADE_ALLOWED;
   if(AccountInfoInteger(ACCOUNT_TRADE_EXPERT)!=0)
      permissions|=(uint)PERMISSION_ACCOUNT_TRADE_EXPERT;
   return(permissions);
  }

void CAccount::FillHello(SHello &hello) const
  {
   hello.login=Login();
   hello.server=ClipText(m_server,128);
   hello.company=ClipText(AccountInfoString(ACCOUNT_COMPANY),128);
   hello.currency=ClipText(AccountInfoString(ACCOUNT_CURRENCY),16);
   hello.leverage=(uint)AccountInfoInteger(ACCOUNT_LEVERAGE);
   hello.margin_mode=(uint)AccountInfoInteger(ACCOUNT_MARGIN_MODE);
   hello.trade_mode=(uint)AccountInfoInteger(ACCOUNT_TRADE_MODE);
  }

#endif // BRIDGE_APP_ACCOUNT_MQH
