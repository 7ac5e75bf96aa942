//+------------------------------------------------------------------+
//|                                                       Puppet.mq5 |
//| Does what the tests of the runtime tell it, and prints what came |
//| of it. A chart event is an order: its id says what to do.        |
//+------------------------------------------------------------------+
#property version     "1.00"
#property description "Obeys the tests of the runtime."

input int    InpTimerMs=0;       // the timer, 0 for none
input int    InpInitResult=0;    // what OnInit returns
input int    InpInitMs=0;        // how long OnInit takes
input int    InpTickMs=0;        // how long OnTick takes
input int    InpTimerWorkMs=0;   // how long OnTimer takes
input int    InpBookMs=0;        // how long OnBookEvent takes
input int    InpTradeMs=0;       // how long OnTradeTransaction takes
input int    InpDeinitMs=0;      // how long OnDeinit computes
input string InpText="text";      // printed by OnInit

class CThing
  {
public:
   int               m_number;
                     CThing(void) : m_number(7) { }
                    ~CThing(void) { }
  };

int    g_lives=0;
int    g_socket=INVALID_HANDLE;
ulong  g_first_deal=0;
ulong  g_last_deal=0;
int    g_deals=0;
uchar  g_bytes[];
//+------------------------------------------------------------------+
//| Bytes as hexadecimal text                                        |
//+------------------------------------------------------------------+
string Hex(const uchar &bytes[],const int size)
  {
   string text="";
   for(int i=0; i<size; i++)
      text+=StringFormat("%02x",bytes[i]);
   return(text);
  }
//+------------------------------------------------------------------+
//| Compute, without a wait, for some time                           |
//+------------------------------------------------------------------+
void Compute(const int milliseconds)
  {
   ulong start=GetMicrosecondCount();
   while(GetMicrosecondCount()-start<(ulong)milliseconds*1000)
      continue;
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
int OnInit()
  {
   g_lives++;
   Print("OnInit life ",g_lives," text ",InpText," symbol ",_Symbol," timer ",InpTimerMs);
   if(InpInitMs>0)
      Sleep(InpInitMs);
   if(InpTimerMs>0)
     {
      ResetLastError();
      if(!EventSetMillisecondTimer(InpTimerMs))
         Print("no timer, error ",GetLastError());
     }
   Print("OnInit done");
   return(InpInitResult);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OnDeinit(const int reason)
  {
   Print("OnDeinit ",reason," ",UninitializeReason()," stopped ",IsStopped());
   if(InpDeinitMs>0)
      Compute(InpDeinitMs);
   if(g_socket!=INVALID_HANDLE && InpText=="connect at the end")
      Connect("127.0.0.1",1,5000);
   Print("OnDeinit done");
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OnTick()
  {
   Print("OnTick");
   if(InpTickMs>0)
      Sleep(InpTickMs);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OnTimer()
  {
   Print("OnTimer ",GetMicrosecondCount());
   if(InpTimerWorkMs>0)
      Sleep(InpTimerWorkMs);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OnBookEvent(const string &symbol)
  {
   Print("OnBookEvent ",symbol);
   if(InpBookMs>0)
      Sleep(InpBookMs);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OnTrade()
  {
   Print("OnTrade deals ",g_deals," first ",g_first_deal," last ",g_last_deal);
  }
//+------------------------------------------------------------------+
//|                                                                  |
//+------------------------------------------------------------------+
void OnTradeTransaction(const MqlTradeTransaction &trans,
                        const MqlTradeRequest &request,
                        const MqlTradeResult &result)
  {
   if(g_deals==0)
      g_first_deal=trans.deal;
   g_last_deal=trans.deal;
   g_deals++;
   if(InpTradeMs>0)
     {
      Print("OnTradeTransaction ",trans.deal," ",trans.symbol," ",request.comment," ",result.retcode);
      Sleep(InpTradeMs);
     }
  }
//+------------------------------------------------------------------+
//| Connect and tell                                                 |
//+------------------------------------------------------------------+
void Connect(const string server,const uint port,const uint timeout_ms)
  {
   ResetLastError();
   ulong start=GetMicrosecondCount();
   bool connected=SocketConnect(g_socket,server,port,timeout_ms);
   Print("connect ",connected," error ",GetLastError()," ms ",(GetMicrosecondCount()-start)/1000);
  }
//+------------------------------------------------------------------+
//| Read and tell                                                    |
//+------------------------------------------------------------------+
void Read(const uint size,const uint timeout_ms)
  {
   ResetLastError();
   ulong start=GetMicrosecondCount();
   int read=SocketRead(g_socket,g_bytes,size,timeout_ms);
   int error=GetLastError();
   ulong took_ms=(GetMicrosecondCount()-start)/1000;
   int shown=read<0 ? 0 : MathMin(read,64);
   Print("read ",read," error ",error," array ",ArraySize(g_bytes)," ms ",took_ms," hex ",Hex(g_bytes,shown));
  }
//+------------------------------------------------------------------+
//| Send so many bytes and tell                                      |
//+------------------------------------------------------------------+
void Send(const int size)
  {
   uchar bytes[];
   if(ArrayResize(bytes,size)!=size)
      return;
   for(int i=0; i<size; i++)
      bytes[i]=(uchar)(i%251);
   ResetLastError();
   ulong start=GetMicrosecondCount();
   int sent=SocketSend(g_socket,bytes,(uint)size);
   int error=GetLastError();
   Print("send ",sent," error ",error," ms ",(GetMicrosecondCount()-start)/1000);
  }
//+------------------------------------------------------------------+
//| Open sockets until it fails                                      |
//+------------------------------------------------------------------+
void OpenMany()
  {
   int opened=0;
   ResetLastError();
   int socket=SocketCreate();
   while(socket!=INVALID_HANDLE)
     {
      opened++;
      socket=SocketCreate();
     }
   Print("opened ",opened," error ",GetLastError());
  }
//+------------------------------------------------------------------+
//| Copy ticks and tell                                              |
//+------------------------------------------------------------------+
void Ticks(const string symbol,const ulong from,const uint count)
  {
   MqlTick ticks[];
   ResetLastError();
   ulong start=GetMicrosecondCount();
   int copied=CopyTicks(symbol,ticks,COPY_TICKS_ALL,from,count);
   int error=GetLastError();
   Print("ticks ",copied," error ",error," ms ",(GetMicrosecondCount()-start)/1000);
   for(int i=0; i<copied; i++)
      Print("tick ",ticks[i].time_msc," ",(long)ticks[i].time," ",ticks[i].bid," ",ticks[i].ask," ",ticks[i].last," ",ticks[i].volume," ",ticks[i].volume_real," ",ticks[i].flags);
  }
//+------------------------------------------------------------------+
//| Copy the first ticks again and again, and tell how long it takes |
//+------------------------------------------------------------------+
void Measure(const string symbol,const uint count,const int times)
  {
   MqlTick ticks[];
   ulong start=GetMicrosecondCount();
   for(int i=0; i<times; i++)
     {
      if(CopyTicks(symbol,ticks,COPY_TICKS_ALL,1,count)!=(int)count)
         return;
     }
   Print("us of one CopyTicks ",(GetMicrosecondCount()-start)/(ulong)times);
  }
//+------------------------------------------------------------------+
//| Subscribe to a book, read it and leave it                        |
//+------------------------------------------------------------------+
void Book(const string symbol)
  {
   MqlBookInfo levels[];
   ResetLastError();
   bool added=MarketBookAdd(symbol);
   Print("book ",added," error ",GetLastError());
   ResetLastError();
   bool got=MarketBookGet(symbol,levels);
   Print("levels ",got," ",ArraySize(levels)," error ",GetLastError());
   for(int i=0; i<ArraySize(levels); i++)
      Print("level ",(int)levels[i].type," ",levels[i].price," ",levels[i].volume," ",levels[i].volume_real);
   ResetLastError();
   bool released=MarketBookRelease(symbol);
   Print("released ",released," error ",GetLastError());
  }
//+------------------------------------------------------------------+
//| The rest of what the terminal knows                              |
//+------------------------------------------------------------------+
void Tell(const string symbol)
  {
   ResetLastError();
   long digits=SymbolInfoInteger(symbol,SYMBOL_DIGITS);
   double point=SymbolInfoDouble(symbol,SYMBOL_POINT);
   string base=SymbolInfoString(symbol,SYMBOL_CURRENCY_BASE);
   Print("digits ",digits," point ",point," base ",base," error ",GetLastError());
   ResetLastError();
   MqlTick tick={};
   bool found=SymbolInfoTick(symbol,tick);
   Print("last ",found," ",tick.time_msc," error ",GetLastError());
   ResetLastError();
   bool custom=true;
   bool exists=SymbolExist(symbol,custom);
   Print("exists ",exists," custom ",custom," total ",SymbolsTotal(false)," selected ",SymbolsTotal(true)," first ",SymbolName(0,false));
   Print("login ",AccountInfoInteger(ACCOUNT_LOGIN)," server ",AccountInfoString(ACCOUNT_SERVER)," currency ",AccountInfoString(ACCOUNT_CURRENCY)," leverage ",AccountInfoInteger(ACCOUNT_LEVERAGE));
   Print("connected ",TerminalInfoInteger(TERMINAL_CONNECTED)," build ",TerminalInfoInteger(TERMINAL_BUILD)," tester ",MQLInfoInteger(MQL_TESTER)," name ",MQLInfoString(MQL_PROGRAM_NAME)," allowed ",MQLInfoInteger(MQL_TRADE_ALLOWED));
   Print("current ",(long)TimeCurrent()," offset ",(long)TimeTradeServer()-(long)TimeGMT()," utc ",(long)TimeGMT());
  }
//+------------------------------------------------------------------+
//| Errors that end a program                                        |
//+------------------------------------------------------------------+
void Break(const int how)
  {
   int numbers[3];
   ArrayInitialize(numbers,0);
   if(how==0)
      numbers[how+3]=1;
   if(how==1)
      Print(7/numbers[0]);
   CThing *thing=NULL;
   if(how==2)
      Print(thing.m_number);
   if(how==3)
     {
      thing=new CThing();
      Print("made ",thing.m_number);
     }
  }
//+------------------------------------------------------------------+
//| An order of the test                                             |
//+------------------------------------------------------------------+
void OnChartEvent(const int id,const long &lparam,const double &dparam,const string &sparam)
  {
   ResetLastError();
   switch(id)
     {
      case 1:
         g_socket=SocketCreate();
         Print("create ",g_socket," error ",GetLastError());
         break;
      case 2:
         Connect(sparam,(uint)lparam,(uint)dparam);
         break;
      case 3:
        {
         bool closed=SocketClose(g_socket);
         Print("close ",closed," error ",GetLastError());
         break;
        }
      case 4:
        {
         bool connected=SocketIsConnected(g_socket);
         Print("connected ",connected," error ",GetLastError());
         break;
        }
      case 5:
        {
         uint readable=SocketIsReadable(g_socket);
         Print("readable ",readable," error ",GetLastError());
         break;
        }
      case 6:
        {
         bool writable=SocketIsWritable(g_socket);
         Print("writable ",writable," error ",GetLastError());
         break;
        }
      case 7:
        {
         bool set=SocketTimeouts(g_socket,(uint)lparam,(uint)dparam);
         Print("timeouts ",set," error ",GetLastError());
         break;
        }
      case 8:
         Read((uint)lparam,(uint)dparam);
         break;
      case 9:
         Send((int)lparam);
         break;
      case 10:
         OpenMany();
         break;
      case 11:
        {
         uchar few[4];
         ArrayInitialize(few,0);
         int read=SocketRead(g_socket,few,(uint)lparam,(uint)dparam);
         Print("read ",read," error ",GetLastError()," hex ",Hex(few,4));
         break;
        }
      case 12:
        {
         bool shaken=SocketTlsHandshake(g_socket,sparam);
         int read=SocketTlsRead(g_socket,g_bytes,1);
         Print("tls ",shaken," ",read," error ",GetLastError());
         break;
        }
      case 20:
         ExpertRemove();
         Print("removed ",IsStopped());
         break;
      case 21:
        {
         bool set=EventSetMillisecondTimer((int)lparam);
         Print("timer ",set," error ",GetLastError());
         break;
        }
      case 22:
         EventKillTimer();
         break;
      case 23:
         Break((int)lparam);
         break;
      case 24:
        {
         ulong start=GetMicrosecondCount();
         Sleep((int)lparam);
         Print("slept ",GetMicrosecondCount()-start);
         break;
        }
      case 25:
         Ticks(sparam,(ulong)lparam,(uint)dparam);
         break;
      case 26:
         Tell(sparam);
         break;
      case 27:
        {
         bool posted=EventChartCustom(0,1,1,1.0,"posted");
         Print("posted ",posted);
         break;
        }
      case 28:
         Comment(sparam);
         Alert(sparam);
         break;
      case 29:
         Compute((int)lparam);
         break;
      case 30:
        {
         bool selected=SymbolSelect(sparam,lparam!=0);
         Print("select ",selected," error ",GetLastError());
         break;
        }
      case 31:
         Measure(sparam,(uint)lparam,(int)dparam);
         break;
      case 32:
         Book(sparam);
         break;
      default:
         Print("OnChartEvent ",id," ",lparam," ",dparam," ",sparam);
     }
  }
//+------------------------------------------------------------------+
